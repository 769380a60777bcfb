/* OpenBLAS' product in single precision for one core, as one function: build.rs compiles this once for each core.
 *
 * It calls OpenBLAS' level 3 driver directly, so that nothing of OpenBLAS is left that looks at the machine, starts
 * threads or allocates: the caller chooses the core and brings the buffer. */

#include "common.h"

typedef int driver(blas_arg_t *, BLASLONG *, BLASLONG *, float *, float *, BLASLONG);
extern driver PRODUCT_NN, PRODUCT_TN, PRODUCT_NT, PRODUCT_TT;

/* Columns of the right operand that are packed at once. OpenBLAS derives it from a buffer of 32 MiB. */
BLASLONG sgemm_r = 1024;

#ifdef CORE_PRESCOTT
/* Rows of the left operand that are packed at once, which the other cores have as a constant: what OpenBLAS takes for a
 * second-level cache of 512 KiB. */
BLASLONG sgemm_p = 224;
#endif

/* Floats in front of the packed right operand, in whole pages as OpenBLAS has them, so that it does not share cache
 * sets with the left one. */
static BLASLONG left_len(void) {
    BLASULONG bytes = (GEMM_P * GEMM_Q * sizeof(float) + GEMM_DEFAULT_ALIGN) & ~(BLASULONG)GEMM_DEFAULT_ALIGN;
    return (bytes + GEMM_DEFAULT_OFFSET_B) / sizeof(float);
}

/* The floats of the buffer that a product needs, whatever its sizes. */
BLASLONG BUFFER_LEN(void) { return left_len() + GEMM_Q * sgemm_r; }

/* C = alpha op(A) op(B) + beta C, column-major; op transposes where its flag is set. */
void PRODUCT(int transpose_a, int transpose_b, BLASLONG m, BLASLONG n, BLASLONG k, float alpha, float *a, BLASLONG lda,
             float *b, BLASLONG ldb, float beta, float *c, BLASLONG ldc, float *buffer) {
    static driver *const drivers[2][2] = {{PRODUCT_NN, PRODUCT_NT}, {PRODUCT_TN, PRODUCT_TT}};
    blas_arg_t args = {0};
    args.m = m;
    args.n = n;
    args.k = k;
    args.a = a;
    args.b = b;
    args.c = c;
    args.lda = lda;
    args.ldb = ldb;
    args.ldc = ldc;
    args.alpha = &alpha;
    args.beta = &beta;
    drivers[transpose_a != 0][transpose_b != 0](&args, NULL, NULL, buffer, buffer + left_len(), 0);
}
