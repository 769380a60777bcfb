/* OpenBLAS' sgemm for one core (processor family), as one function: build.rs compiles this once per core.
 *
 * It calls OpenBLAS' level 3 driver directly and so bypasses its CPU detection, threads and allocator: the caller selects
 * the core and provides the packing buffer. */

#include "common.h"

typedef int driver(blas_arg_t *, BLASLONG *, BLASLONG *, float *, float *, BLASLONG);
extern driver PRODUCT_NN, PRODUCT_TN, PRODUCT_NT, PRODUCT_TT;

/* GEMM_R: columns of the right operand that are packed at once. OpenBLAS derives it from a buffer of 32 MiB. */
BLASLONG sgemm_r = 1024;

#ifdef CORE_PRESCOTT
/* GEMM_P: rows of the left operand that are packed at once, a constant on the other cores. This is OpenBLAS' value for an
 * L2 cache of 512 KiB. */
BLASLONG sgemm_p = 224;
#endif

/* Floats before the packed right operand, padded as in OpenBLAS so that the two packed operands map to different cache
 * sets. */
static BLASLONG left_len(void) {
    BLASULONG bytes = (GEMM_P * GEMM_Q * sizeof(float) + GEMM_DEFAULT_ALIGN) & ~(BLASULONG)GEMM_DEFAULT_ALIGN;
    return (bytes + GEMM_DEFAULT_OFFSET_B) / sizeof(float);
}

/* Floats of the packing buffer, for a product of any size. */
BLASLONG BUFFER_LEN(void) { return left_len() + GEMM_Q * sgemm_r; }

/* C = alpha op(A) op(B) + beta C, column-major; op transposes if its flag is set. */
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
