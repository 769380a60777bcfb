//! From a request's images to the outputs of the net.

use crate::data::photos::photo;
use crate::data::{PhotoError, PhotoErrorKind};
use crate::serve::app::App;
use crate::serve::batching::{Answer, Failure, Slot, Values};
use crate::serve::model::Model;
use crate::serve::refusal::Refusal;
use axum::body::Bytes;
use axum::http::StatusCode;
use futures_util::future::try_join_all;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A photo of a request.
#[derive(Clone, Debug)]
pub struct Photo {
    pub name: String,
    pub bytes: Bytes,
}

/// The outputs for a photo.
#[derive(Debug)]
pub struct PhotoAnswer {
    pub answer: Answer,
    /// The time to decode it.
    pub decoding: Duration,
}

/// Room in a model's queue for the images of a request.
///
/// # Errors
/// 400 if there are none, 413 if there are too many, 503 if there is no room now.
pub fn reserve(app: &App, model: &Model, images: usize) -> Result<Vec<Slot>, Refusal> {
    let limit = model.max_images(app.limits.images);
    match images {
        0 => Err(Refusal::invalid("the request has no images")),
        _ if images > limit => {
            Err(Refusal::too_large(format!("a request to `{}` has at most {limit} images, not {images}", model.name)))
        }
        _ => {
            let busy = || Refusal::busy(format!("the queue of `{}` is full", model.name));
            model.queue.reserve(images).ok_or_else(busy)
        }
    }
}

/// The outputs for images that are given as values, in order.
///
/// # Errors
/// If one of them cannot be computed.
pub async fn run_values(model: &Model, images: Vec<Values>, slots: Vec<Slot>) -> Result<Vec<Answer>, Refusal> {
    let answers = images.into_iter().zip(slots).map(|(image, slot)| run(model, image, slot));
    try_join_all(answers).await
}

/// The outputs for photos, in order. Photos are decoded concurrently, and each is computed as soon as it is decoded.
///
/// # Errors
/// If the model takes no photos, or one of them is none or cannot be computed.
pub async fn run_photos(
    app: &Arc<App>,
    model: &Model,
    photos: Vec<Photo>,
    slots: Vec<Slot>,
) -> Result<Vec<PhotoAnswer>, Refusal> {
    let decoding = model.decoding.as_ref().map_err(Refusal::invalid)?;
    let one = async |photo: Photo, slot: Slot| {
        let decoding = decoding.clone();
        let decoded = app.compute(move || {
            let began = Instant::now();
            let (height, width, channels) = decoding.size;
            let len = crate::size::product([height, width, channels]);
            let mut values = crate::runtime::zeros(len).ok_or_else(|| Refusal::busy("not enough memory is free"))?;
            photo::read_bytes(&photo.bytes, &photo.name, &decoding.preprocessing, decoding.size, &mut values)
                .map_err(|error| unusable(&error))?;
            Ok::<_, Refusal>((values, began.elapsed()))
        });
        let (values, decoding) = decoded.await??;
        Ok::<_, Refusal>(PhotoAnswer { answer: run(model, vec![values], slot).await?, decoding })
    };
    try_join_all(photos.into_iter().zip(slots).map(|(photo, slot)| one(photo, slot))).await
}

/// The refusal of a photo.
fn unusable(error: &PhotoError) -> Refusal {
    match error.error {
        PhotoErrorKind::TooManyBytes | PhotoErrorKind::TooManyPixels { .. } | PhotoErrorKind::TooMuchMemory => {
            Refusal::too_large(error)
        }
        _ => Refusal::invalid(error),
    }
}

async fn run(model: &Model, image: Values, slot: Slot) -> Result<Answer, Refusal> {
    let answer = model.queue.submit(image, slot).await;
    answer.unwrap_or(Err(Failure::Stopped)).map_err(|failure| refused(&failure))
}

/// The refusal of an image that cannot be computed.
fn refused(failure: &Failure) -> Refusal {
    use crate::runtime::RunError;
    let status = match failure {
        // A value that a layer cannot take, such as a negative index.
        Failure::Run(RunError::Step { .. } | RunError::Length { .. } | RunError::Count { .. }) => {
            StatusCode::BAD_REQUEST
        }
        Failure::Run(RunError::Memory { .. }) | Failure::Stopped => StatusCode::SERVICE_UNAVAILABLE,
        Failure::Run(RunError::Artifact(_)) | Failure::Panic => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Refusal::new(status, failure)
}
