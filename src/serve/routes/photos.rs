//! `POST /predict`: photos of a form, or one photo as the body; the answer has labels and scores.

use super::jobs::{Photo, PhotoAnswer, reserve, run_photos};
use super::protocol::ModelPath;
use crate::artifact::Manifest;
use crate::runtime::non_finite::{first_nan, non_finite};
use crate::serve::app::App;
use crate::serve::body::ReadBody;
use crate::serve::model::Model;
use crate::serve::refusal::Refusal;
use crate::view::predictions::{OutputPrediction, image_json, output_prediction};
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::multipart::MultipartError;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequest, Multipart, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Classes, or values, of each photo in an answer.
const TOP: usize = 5;

/// The query of the address.
#[derive(Debug, Deserialize)]
pub struct Wanted {
    top: Option<usize>,
}

type WantedQuery = Result<Query<Wanted>, QueryRejection>;

/// `POST /predict`, for a server with one model.
pub async fn predict_only(
    State(app): State<Arc<App>>,
    wanted: WantedQuery,
    request: Request,
) -> Result<Json<Value>, Refusal> {
    match &app.models[..] {
        [model] => answer(&app, model, wanted, request).await,
        _ => Err(Refusal::invalid(format!("name a model, as in /predict/NAME: {}", app.listed()))),
    }
}

/// `POST /predict/{model}`.
pub async fn predict(
    State(app): State<Arc<App>>,
    path: ModelPath,
    wanted: WantedQuery,
    request: Request,
) -> Result<Json<Value>, Refusal> {
    answer(&app, app.model(&path.model, None)?, wanted, request).await
}

async fn answer(app: &Arc<App>, model: &Model, wanted: WantedQuery, request: Request) -> Result<Json<Value>, Refusal> {
    let Query(wanted) = wanted.map_err(|_| Refusal::invalid("`top` takes a number of classes, as in ?top=3"))?;
    model.decoding.as_ref().map_err(Refusal::invalid)?;
    let (head, body) = request.into_parts();
    let ReadBody { bytes, reservation } = app.body(&head.headers, body).await?;
    let photos = photos(head, bytes, model.max_images(app.limits.images)).await?;
    let slots = reserve(app, model, photos.len())?;
    let names: Vec<String> = photos.iter().map(|photo| photo.name.clone()).collect();
    let answers = run_photos(app, model, photos, slots).await?;
    drop(reservation);
    let top = wanted.top.unwrap_or(TOP);
    let predictions = names.iter().zip(&answers).map(|(name, answer)| prediction(model.manifest(), name, answer, top));
    let predictions = predictions.collect::<Result<Vec<_>, _>>()?;
    Ok(Json(json!({ "model": model.name, "predictions": predictions })))
}

/// The photos of a body: each part of a form, or the body itself.
async fn photos(head: Parts, bytes: Bytes, limit: usize) -> Result<Vec<Photo>, Refusal> {
    let media_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let media_type = media_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    match media_type.as_str() {
        "multipart/form-data" => {}
        "image/jpeg" | "image/png" | "application/octet-stream" => {
            return Ok(vec![Photo { name: "photo".into(), bytes }]);
        }
        _ => {
            let message = "send photos as a form (multipart/form-data), or one as image/jpeg or image/png";
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
        }
    }
    let request = Request::from_parts(head, Body::from(bytes));
    let form = Multipart::from_request(request, &()).await;
    let mut form = form.map_err(|error| Refusal::new(error.status(), error.body_text()))?;
    let wrong = |error: MultipartError| Refusal::new(error.status(), error.body_text());
    let mut photos = Vec::new();
    while let Some(part) = form.next_field().await.map_err(wrong)? {
        if photos.len() == limit {
            return Err(Refusal::too_large(format!("a request has at most {limit} photos")));
        }
        let name = part.file_name().or(part.name()).unwrap_or("photo").to_owned();
        photos.push(Photo { name, bytes: part.bytes().await.map_err(wrong)? });
    }
    if photos.is_empty() {
        return Err(Refusal::invalid("the form has no photos"));
    }
    Ok(photos)
}

/// The prediction for a photo as `netc predict --format json` prints it, and how long it took.
fn prediction(manifest: &Manifest, name: &str, answer: &PhotoAnswer, top: usize) -> Result<Value, Refusal> {
    let PhotoAnswer { answer, decoding } = answer;
    if answer.outputs.iter().any(|row| first_nan(row, row.len()).is_some()) {
        return Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, non_finite(name, None).message));
    }
    let rows = answer.outputs.iter().enumerate();
    let outputs: Vec<OutputPrediction> =
        rows.map(|(output, row)| output_prediction(manifest, output, row, top)).collect();
    let mut prediction = image_json(name, &outputs);
    let milliseconds = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
    prediction["timing"] = json!({
        "decode_ms": milliseconds(*decoding),
        "queue_ms": milliseconds(answer.waited),
        "run_ms": milliseconds(answer.ran),
        "batch": answer.batch,
    });
    Ok(prediction)
}
