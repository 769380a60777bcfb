//! `POST /v2/models/{name}/infer`

use super::jobs::{Photo, reserve, run_photos, run_values};
use crate::serve::app::App;
use crate::serve::protocol::request::{Images, InferenceRequest};
use crate::serve::protocol::response::{ResponseBody, ResponseError, encode};
use crate::serve::protocol::{JSON_LENGTH, RequestError};
use crate::serve::refusal::Refusal;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

pub async fn infer(
    State(app): State<Arc<App>>,
    path: super::protocol::ModelPath,
    request: Request,
) -> Result<Response, Refusal> {
    let model = app.model(&path.model, path.version.as_deref())?;
    let (head, body) = request.into_parts();
    let json_length = json_length(&head.headers)?;
    let body = app.body(&head.headers, body).await?;
    let (manifest, limit) = (Arc::clone(&model.artifact), model.max_images(app.limits.images));
    let takes_photos = model.decoding.as_ref().map(|_| ()).map_err(String::clone);
    let (request, taken) = app
        .compute(move || {
            let takes_photos = takes_photos.as_ref().copied().map_err(String::as_str);
            let parsed = InferenceRequest::parse(&body.bytes, json_length, &manifest.manifest, takes_photos, limit);
            // The photos are copies: they have the room that the body had.
            (parsed, body.reservation)
        })
        .await?;
    let InferenceRequest { id, images, outputs } = request.map_err(|error| match error {
        RequestError::Invalid(_) => Refusal::invalid(error),
        RequestError::TooMany { .. } => Refusal::too_large(error),
    })?;
    let slots = reserve(&app, model, images.count())?;
    let answers: Vec<_> = match images {
        Images::Values(images) => {
            drop(taken);
            run_values(model, images, slots).await?.into_iter().map(|answer| answer.outputs).collect()
        }
        Images::Photos(photos) => {
            let named =
                |(index, bytes): (usize, Vec<u8>)| Photo { name: format!("photo {index}"), bytes: bytes.into() };
            let photos = photos.into_iter().enumerate().map(named).collect();
            let answers = run_photos(&app, model, photos, slots).await?;
            drop(taken);
            answers.into_iter().map(|photo| photo.answer.outputs).collect()
        }
    };
    let (artifact, name) = (Arc::clone(&model.artifact), model.name.clone());
    let encoded = app.compute(move || encode(&name, &artifact.manifest, id.as_deref(), &outputs, &answers)).await?;
    match encoded {
        Ok(body) => Ok(response(body)),
        Err(error @ ResponseError::NotFinite(_)) => Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, error)),
        Err(ResponseError::Json(_)) => Err(Refusal::internal()),
    }
}

/// The length of the JSON part, if the header is there.
fn json_length(headers: &HeaderMap) -> Result<Option<usize>, Refusal> {
    let Some(value) = headers.get(JSON_LENGTH) else { return Ok(None) };
    let length = value.to_str().ok().and_then(|text| text.parse().ok());
    length.map(Some).ok_or_else(|| Refusal::invalid("the header Inference-Header-Content-Length is not a length"))
}

fn response(body: ResponseBody) -> Response {
    let media_type = if body.json_length.is_some() { "application/octet-stream" } else { "application/json" };
    let mut response = ([(header::CONTENT_TYPE, media_type)], body.bytes).into_response();
    if let Some(length) = body.json_length {
        response.headers_mut().insert(JSON_LENGTH, HeaderValue::from(length));
    }
    response
}
