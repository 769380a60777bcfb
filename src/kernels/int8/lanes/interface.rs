//! What an instruction set offers to the kernels.

/// Lanes of a panel.
pub const LANES: usize = 16;
/// Bytes whose products with the weights are added at once.
pub const GROUP: usize = 4;
/// Bytes of a panel's weights for a group of inputs.
pub const STEP: usize = LANES * GROUP;

/// Channels of a depthwise step: four vectors.
pub const QUAD: usize = 4 * LANES;

/// The array of an expression for each of some constants. Not a closure: one that is not inlined is compiled without the
/// instruction set.
macro_rules! array_of {
    ($at:ident in [$($value:expr),*] => $body:expr) => {
        [$({
            let $at = $value;
            $body
        }),*]
    };
}
pub(in crate::kernels::int8) use array_of;

/// Sixteen lanes. All operations have the same results on every instruction set.
///
/// # Safety
/// Callers of all functions promise that the machine supports the instruction set, and that pointers are valid for what is read or
/// written.
pub trait Lanes {
    /// The maximum number of rows times panels of a register tile.
    const TILE: usize;
    /// Sixteen integers of 32 bits.
    type Sums: Copy;
    /// Four signed bytes for each lane.
    type Weights: Copy;
    /// The same four unsigned bytes for all lanes.
    type Inputs: Copy;
    /// Four unsigned bytes for each lane.
    type Each: Copy;
    /// Sixteen f32.
    type Floats: Copy;
    /// The lowest and highest byte to store, from 0 to 255.
    type Bounds: Copy;

    /// Zeros.
    unsafe fn zero() -> Self::Sums;
    /// [`STEP`] bytes: four for each lane.
    unsafe fn weights(from: *const i8) -> Self::Weights;
    /// Four bytes, for all lanes.
    unsafe fn inputs(from: *const u8) -> Self::Inputs;
    /// Sixteen bytes from each of four addresses: a lane gets its byte of each.
    unsafe fn each(from: [*const u8; GROUP]) -> Self::Each;
    /// Adds the four products of each lane.
    unsafe fn dot(sums: Self::Sums, inputs: Self::Inputs, weights: Self::Weights) -> Self::Sums;
    /// As [`Lanes::dot`], with inputs of each lane's own.
    unsafe fn dot_each(sums: Self::Sums, inputs: Self::Each, weights: Self::Weights) -> Self::Sums;
    /// The sums as f32, rounded to nearest even.
    unsafe fn to_floats(sums: Self::Sums) -> Self::Floats;
    /// Sixteen bytes as f32.
    unsafe fn bytes(from: *const u8) -> Self::Floats;
    /// Sixteen f32.
    unsafe fn load(from: *const f32) -> Self::Floats;
    /// One f32 for all lanes.
    unsafe fn splat(value: f32) -> Self::Floats;
    /// a b + c with one rounding.
    unsafe fn mul_add(a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats;
    /// The number nearest to each value from `low` to `high`; `low` for NaN.
    unsafe fn clamp(values: Self::Floats, low: Self::Floats, high: Self::Floats) -> Self::Floats;
    /// Bounds to store by.
    unsafe fn bounds(low: u8, high: u8) -> Self::Bounds;
    /// Rounds to the nearest integers (ties to even), which must be within 32 bits, clamps and stores sixteen bytes.
    unsafe fn store_bytes(values: Self::Floats, bounds: Self::Bounds, to: *mut u8);
    /// Stores sixteen f32.
    unsafe fn store(values: Self::Floats, to: *mut f32);

    /// As [`Lanes::store_bytes`], one vector after the other.
    #[inline(always)]
    unsafe fn store_rows<const PANELS: usize>(values: [Self::Floats; PANELS], bounds: Self::Bounds, to: *mut u8) {
        for (at, values) in values.into_iter().enumerate() {
            // SAFETY: as the caller promises.
            unsafe { Self::store_bytes(values, bounds, to.add(at * LANES)) };
        }
    }

    // Four vectors of 64 channels, in an order that an instruction set chooses: the same for inputs, weights, factors and results.

    /// 64 bytes from each of four addresses: a lane gets its byte of each.
    #[inline(always)]
    unsafe fn quad(from: [*const u8; GROUP]) -> [Self::Each; 4] {
        // SAFETY: as the caller promises.
        unsafe {
            array_of!(at in [0, 1, 2, 3] => {
                let at = at * LANES;
                Self::each([from[0].add(at), from[1].add(at), from[2].add(at), from[3].add(at)])
            })
        }
    }
    /// Four signed bytes for each lane.
    #[inline(always)]
    unsafe fn quad_weights(from: *const i8) -> [Self::Weights; 4] {
        // SAFETY: as the caller promises.
        unsafe { array_of!(at in [0, 1, 2, 3] => Self::weights(from.add(at * STEP))) }
    }
    /// 64 f32.
    #[inline(always)]
    unsafe fn quad_floats(from: *const f32) -> [Self::Floats; 4] {
        // SAFETY: as the caller promises.
        unsafe { array_of!(at in [0, 1, 2, 3] => Self::load(from.add(at * LANES))) }
    }
    /// Zeros.
    #[inline(always)]
    unsafe fn quad_zero() -> [Self::Sums; 4] {
        // SAFETY: as the caller promises.
        unsafe { [Self::zero(); 4] }
    }
    /// Adds the four products of each lane.
    #[inline(always)]
    unsafe fn quad_dot(sums: [Self::Sums; 4], inputs: [Self::Each; 4], weights: [Self::Weights; 4]) -> [Self::Sums; 4] {
        // SAFETY: as the caller promises.
        unsafe { array_of!(at in [0, 1, 2, 3] => Self::dot_each(sums[at], inputs[at], weights[at])) }
    }
    /// As [`Lanes::store_bytes`], for 64 bytes.
    #[inline(always)]
    unsafe fn store_quad(values: [Self::Floats; 4], bounds: Self::Bounds, to: *mut u8) {
        // SAFETY: as the caller promises.
        unsafe { Self::store_rows(values, bounds, to) };
    }
    /// As [`Lanes::store_quad`], for the first `count` of 64 bytes.
    #[inline(always)]
    unsafe fn store_quad_start(values: [Self::Floats; 4], bounds: Self::Bounds, to: *mut u8, count: usize) {
        let mut all = [0u8; QUAD];
        // SAFETY: as the caller promises.
        unsafe {
            Self::store_quad(values, bounds, all.as_mut_ptr());
            to.copy_from_nonoverlapping(all.as_ptr(), count.min(QUAD));
        }
    }
    /// Stores 64 f32.
    #[inline(always)]
    unsafe fn store_quad_floats(values: [Self::Floats; 4], to: *mut f32) {
        for (at, values) in values.into_iter().enumerate() {
            // SAFETY: as the caller promises.
            unsafe { Self::store(values, to.add(at * LANES)) };
        }
    }
}

/// A kernel that is compiled for every instruction set.
pub trait LanesOp {
    /// Runs it. Implementations must be `#[inline(always)]`.
    ///
    /// # Safety
    /// The machine must support the instruction set of `L`, and the kernel's own preconditions must be met.
    unsafe fn run<L: Lanes>(self);
}
