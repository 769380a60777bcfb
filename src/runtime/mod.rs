//! Execution of plans: memory, threads, and micro-batches.

#[allow(unsafe_code)]
mod arena;
pub mod batch_arrays;
pub mod benchmark;
pub mod non_finite;
pub mod session_pool;
pub mod thread_count;

use crate::artifact::{Artifact, ArtifactError};
use crate::diagnostics::numbers::bytes;
use crate::diagnostics::{Code, Diagnostic};
use crate::kernels::gemm;
use crate::kernels::parallel::thread_pool::ThreadPool;
use crate::kernels::tensor_view::{View, ViewMut};
use crate::plan::kernel_step::Call;
use crate::plan::kernel_step::KernelError;
use crate::plan::{Operand, Source, Space, Step};
pub use arena::{Aligned, zeros};
use arena::{Arena, GUARD, Sizes};
use smallvec::SmallVec;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("the artifact {0}")]
    Artifact(#[from] ArtifactError),
    #[error("`{step}`: {error}")]
    Step { step: String, error: KernelError },
    #[error("{what} {index} has {found} values, and a batch of {batch} needs {wanted}")]
    Length { what: &'static str, index: usize, found: usize, wanted: usize, batch: usize },
    #[error("the net has {wanted} {what}, not {found}")]
    Count { what: &'static str, found: usize, wanted: usize },
    #[error("a batch of {batch} needs {}, and not enough memory is free", needed(*.bytes))]
    Memory { batch: usize, bytes: Option<usize> },
}

impl RunError {
    /// Whether there is too little memory; what was to be run may be right.
    pub fn is_memory(&self) -> bool {
        matches!(self, RunError::Memory { .. })
    }

    /// The diagnostic of a prediction that failed.
    pub fn diagnostic(&self) -> Diagnostic {
        let code = match self {
            RunError::Artifact(_) => Code::ArtifactDamaged,
            RunError::Memory { .. } => Code::Memory,
            RunError::Step { .. } | RunError::Length { .. } | RunError::Count { .. } => Code::Array,
        };
        Diagnostic::new(code, self.to_string())
    }
}

fn needed(memory: Option<usize>) -> String {
    memory.map_or("more memory than can be addressed".into(), |memory| bytes(memory as u64))
}

/// A net ready to run: an artifact, threads, and memory that is reused between runs.
#[derive(Debug)]
pub struct Session {
    artifact: Arc<Artifact>,
    threads: Arc<ThreadPool>,
    memory: Arena,
    /// The maximum batch that fits the memory.
    capacity: usize,
    /// Whether each step's constants were checked.
    checked: Vec<bool>,
    /// Time spent in each step, if it is measured.
    profile: Option<Vec<Duration>>,
    /// The output of each step, if it is captured.
    captured: Option<Vec<Vec<f32>>>,
    /// Whether steps are checked to use no more scratch than declared.
    guarded: bool,
}

impl Session {
    /// A session with a thread pool of `threads` threads.
    pub fn new(artifact: Arc<Artifact>, threads: usize) -> Self {
        Self::with_pool(artifact, Arc::new(ThreadPool::new(threads)))
    }

    /// A session on a thread pool that other sessions may use too, one at a time.
    pub fn with_pool(artifact: Arc<Artifact>, threads: Arc<ThreadPool>) -> Self {
        let checked = vec![false; artifact.manifest.plan.steps.len()];
        let guarded = cfg!(debug_assertions);
        Session {
            artifact,
            threads,
            memory: Arena::default(),
            capacity: 0,
            checked,
            profile: None,
            captured: None,
            guarded,
        }
    }

    /// Fills scratch with NaN before each step from now on, and checks that the step has not written after it:
    /// [`Session::run`] panics at a step that uses more scratch than it declares. Debug builds always do.
    pub fn guard(&mut self) {
        (self.memory, self.capacity, self.guarded) = (Arena::default(), 0, true);
    }

    /// The thread pool.
    pub fn pool(&self) -> &Arc<ThreadPool> {
        &self.threads
    }

    /// The artifact.
    pub fn artifact(&self) -> &Artifact {
        &self.artifact
    }

    /// Measures the time of each step from now on.
    pub fn measure(&mut self) {
        self.profile = Some(vec![Duration::ZERO; self.checked.len()]);
    }

    /// The time spent in each step since [`Session::measure`].
    pub fn profile(&self) -> &[Duration] {
        self.profile.as_deref().unwrap_or(&[])
    }

    /// Captures the output of each step from now on.
    pub fn capture(&mut self) {
        self.captured = Some(vec![Vec::new(); self.checked.len()]);
    }

    /// The output of each step in the last run since [`Session::capture`]: its buffer from the step's first float (or word of
    /// bytes) on, with the strides of its operand.
    pub fn captured(&self) -> &[Vec<f32>] {
        self.captured.as_deref().unwrap_or(&[])
    }

    /// Allocates the memory for batches of up to `batch` images, so that no run has to.
    ///
    /// # Errors
    /// If there is not enough memory; the session's previous memory is freed then too.
    pub fn reserve(&mut self, batch: usize) -> Result<(), RunError> {
        if batch <= self.capacity {
            return Ok(());
        }
        let plan = &self.artifact.manifest.plan;
        let guard = if self.guarded { GUARD } else { 0 };
        let sizes = || {
            Some(Sizes {
                micro_batch: plan.micro_batch_floats(batch)?,
                batch: plan.batch_floats.checked_mul(batch)?,
                unbatched: plan.unbatched_floats,
                scratch: plan.scratch_floats(batch, self.threads.count()).checked_add(guard)?,
            })
        };
        let sizes = sizes().ok_or(RunError::Memory { batch, bytes: None })?;
        (self.memory, self.capacity) = (Arena::default(), 0);
        self.memory = Arena::try_new(sizes).ok_or(RunError::Memory { batch, bytes: sizes.bytes() })?;
        if plan.steps.iter().any(|step| step.kernel.uses_gemm()) && !gemm::reserve_on(&self.threads) {
            return Err(RunError::Memory { batch, bytes: sizes.bytes() });
        }
        self.capacity = batch;
        Ok(())
    }

    /// Runs the net: each input and output is `(batch, sizes…)`, row-major.
    ///
    /// # Errors
    /// If a length is wrong, a constant is corrupt, or a layer cannot take a value.
    pub fn run(&mut self, batch: usize, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) -> Result<(), RunError> {
        self.run_with(batch, inputs, outputs, &mut [])
    }

    /// Runs a training plan, whose parameters are in `state` and are changed there: see [`Plan::state`](crate::plan::Plan).
    ///
    /// # Errors
    /// As [`Session::run`], and if the state has the wrong length.
    pub fn run_with(
        &mut self,
        batch: usize,
        inputs: &[&[f32]],
        outputs: &mut [&mut [f32]],
        state: &mut [f32],
    ) -> Result<(), RunError> {
        let artifact = self.artifact.clone();
        let plan = &artifact.manifest.plan;
        let count =
            |what, found, wanted| if found == wanted { Ok(()) } else { Err(RunError::Count { what, found, wanted }) };
        count("inputs", inputs.len(), plan.inputs.len())?;
        count("outputs", outputs.len(), plan.outputs.len())?;
        let length = |what, index, found, wanted| match found == wanted {
            true => Ok(()),
            false => Err(RunError::Length { what, index, found, wanted, batch }),
        };
        for (index, (input, port)) in inputs.iter().zip(&plan.inputs).enumerate() {
            length("input", index, input.len(), port.floats(batch))?;
        }
        for (index, (output, port)) in outputs.iter().zip(&plan.outputs).enumerate() {
            length("output", index, output.len(), port.floats(batch))?;
        }
        length("state", 0, state.len(), plan.state_floats())?;
        if batch == 0 {
            return Ok(());
        }
        artifact.check_unchanged()?;
        self.reserve(batch)?;
        for (steps, stage) in plan.stages() {
            let at_once = stage.micro_batch_size(batch);
            for begin in (0..batch).step_by(at_once) {
                let images = begin..(begin + at_once).min(batch);
                for index in steps.clone() {
                    self.step(&artifact, index, images.clone(), batch, inputs, outputs, state)?;
                    if self.guarded {
                        let step = &plan.steps[index];
                        let scratch = step.kernel.scratch_len(images.len(), self.threads.count());
                        assert!(
                            self.memory.is_untouched(scratch),
                            "`{}` uses more scratch than it declares",
                            step.name
                        );
                    }
                }
            }
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments)] // The parts of a run are separate borrows.
    #[allow(unsafe_code)] // Operands are parts of the arena.
    fn step(
        &mut self,
        artifact: &Artifact,
        index: usize,
        images: std::ops::Range<usize>,
        batch: usize,
        inputs: &[&[f32]],
        outputs: &mut [&mut [f32]],
        state: &mut [f32],
    ) -> Result<(), RunError> {
        let plan = &artifact.manifest.plan;
        let step = &plan.steps[index];
        if !self.checked[index] {
            self.check_constants(artifact, step)?;
            self.checked[index] = true;
        }
        let scratch = step.kernel.scratch_len(images.len(), self.threads.count());
        if self.guarded {
            self.memory.guard(scratch);
        }
        let began = self.profile.is_some().then(Instant::now);
        let parts = self.memory.parts(scratch, state);
        let place = |operand: &Operand| parts.locate(operand, &images, batch);
        let all = artifact.constants();
        let constants: SmallVec<[&[f32]; 8]> = step
            .constants
            .iter()
            .map(|source| match source {
                Source::Constant(index) => {
                    let constant = &plan.constants[*index];
                    &all[constant.offset..constant.offset + constant.len]
                }
                // SAFETY: the plan was verified: the step neither writes nor changes what it reads here.
                Source::Memory(operand) => unsafe { parts.read(place(operand)) },
            })
            .collect();
        let mut views: SmallVec<[View; 8]> = SmallVec::new();
        for operand in &step.inputs {
            let data: &[f32] = match operand.space {
                Space::Input(input) => &inputs[input][images.start * operand.batch_stride + operand.channel_offset..],
                Space::Output(output) => {
                    // SAFETY: the plan was verified: the step writes another output, or the arena. The slice is only read.
                    let output = &outputs[output];
                    unsafe { arena::shared(&output[images.start * operand.batch_stride + operand.channel_offset..]) }
                }
                // SAFETY: the plan was verified: no input of a step overlaps its output in the arena.
                Space::MicroBatch | Space::Batch | Space::Unbatched | Space::State => unsafe {
                    parts.read(place(operand))
                },
            };
            views.push(View { data, ld: operand.row_stride, image: operand.batch_stride });
        }
        let operand = &step.output;
        let data: &mut [f32] = match operand.space {
            Space::Output(output) => {
                &mut outputs[output][images.start * operand.batch_stride + operand.channel_offset..]
            }
            Space::Input(_) => &mut [],
            // SAFETY: the plan was verified, and `views` holds no part of this buffer.
            Space::MicroBatch | Space::Batch | Space::Unbatched | Space::State => unsafe {
                parts.write(place(operand))
            },
        };
        let call = Call {
            batch: images.len(),
            inputs: &views,
            in_place: step.in_place,
            constants: &constants,
            output: ViewMut { data, ld: operand.row_stride, image: operand.batch_stride },
            // SAFETY: the plan was verified: these are parts of the state that nothing else of the step touches.
            state: step.state.iter().map(|operand| unsafe { parts.write(place(operand)) }).collect(),
            // SAFETY: scratch is a part of its own, handed to one step at a time.
            scratch: unsafe { parts.scratch() },
            threads: &self.threads,
        };
        step.kernel.run(call).map_err(|error| RunError::Step { step: step.name.clone(), error })?;
        if let (Some(began), Some(profile)) = (began, &mut self.profile) {
            profile[index] += began.elapsed();
        }
        if let Some(captured) = &mut self.captured {
            let data: &[f32] = match operand.space {
                Space::Output(output) => {
                    &outputs[output][images.start * operand.batch_stride + operand.channel_offset..]
                }
                Space::Input(_) => &[],
                // SAFETY: the step has finished; nothing writes now.
                Space::MicroBatch | Space::Batch | Space::Unbatched | Space::State => unsafe {
                    parts.read(place(operand))
                },
            };
            let all = &mut captured[index];
            all.resize(batch * operand.image_floats(), 0.0);
            let target = &mut all[images.start * operand.image_floats()..images.end * operand.image_floats()];
            let len = target.len().min(data.len());
            target[..len].copy_from_slice(&data[..len]);
        }
        Ok(())
    }

    /// Checks the constants of a step, on all threads.
    fn check_constants(&self, artifact: &Artifact, step: &Step) -> Result<(), RunError> {
        for source in &step.constants {
            let Source::Constant(constant) = source else { continue };
            let constant = &artifact.manifest.plan.constants[*constant];
            let blocks: Vec<usize> =
                artifact.unchecked_blocks(constant.offset..constant.offset + constant.len).collect();
            let first = Mutex::new(None);
            self.threads.run(blocks.len(), &|task, _| {
                if let Err(error) = artifact.check_block(blocks[task])
                    && let Ok(mut first) = first.lock()
                {
                    *first = Some(error);
                }
            });
            if let Some(error) = first.into_inner().unwrap_or(None) {
                return Err(error.into());
            }
        }
        Ok(())
    }
}
