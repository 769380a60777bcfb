//! `netc lsp`: the language server that editors start. Each text is read as it is typed; where it is broken, the last
//! graph that was right still answers.

mod actions;
mod completion;
mod cursor;
mod diagnostics;
mod documents;
mod hints;
mod hover;
mod navigation;
mod references;
mod wire;

use documents::{Document, Documents};
use lsp_server::{Connection, ErrorCode, Message, Notification, Request, RequestId, Response};
use lsp_types::notification::{
    DidChangeTextDocument, DidCloseTextDocument, DidOpenTextDocument, Notification as _, PublishDiagnostics,
};
use lsp_types::request::{
    CodeActionRequest, Completion, DocumentHighlightRequest, DocumentSymbolRequest, Formatting, GotoDefinition,
    HoverRequest, InlayHintRequest, PrepareRenameRequest, References, Rename, Request as _,
};
use lsp_types::{
    CodeActionKind, CodeActionOptions, CodeActionParams, CodeActionProviderCapability, CompletionOptions,
    HoverProviderCapability, InlayHintParams, OneOf, PublishDiagnosticsParams, ReferenceParams, RenameOptions,
    RenameParams, ServerCapabilities, TextDocumentIdentifier, TextDocumentPositionParams, TextDocumentSyncCapability,
    TextDocumentSyncKind, Uri,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::error::Error;

/// What ends the server before its time.
type RequestError = Box<dyn Error + Send + Sync>;

/// Why a request has no answer, in words for the user.
type Refusal = String;

/// Serves one editor over stdin and stdout until it says `exit` or goes away.
pub fn serve() -> Result<(), RequestError> {
    let (connection, writer) = wire::stdio();
    let served = talk(&connection);
    wire::finish(connection, writer)?;
    served
}

/// The same over a connection that is there.
///
/// # Errors
/// A connection that breaks, or an editor that does not keep to the protocol.
pub fn talk(connection: &Connection) -> Result<(), RequestError> {
    connection.initialize(serde_json::to_value(capabilities())?)?;
    let mut documents = Documents::default();
    loop {
        // While messages wait, an analysis would be stale at once: only the newest text is read.
        if connection.receiver.is_empty() {
            for uri in documents.analyse() {
                publish(connection, &documents, &uri)?;
            }
        }
        let Ok(message) = connection.receiver.recv() else { return Ok(()) };
        match message {
            Message::Request(request) => {
                if connection.handle_shutdown(&request)? {
                    return Ok(());
                }
                for uri in documents.analyse() {
                    publish(connection, &documents, &uri)?;
                }
                connection.sender.send(answer(&documents, request).into())?;
            }
            Message::Notification(notification) => {
                if let Some(closed) = note(&mut documents, notification) {
                    publish(connection, &documents, &closed)?;
                }
            }
            Message::Response(_) => {}
        }
    }
}

fn capabilities() -> ServerCapabilities {
    let signs = ["[", ".", "(", ",", "=", "-", "/"];
    ServerCapabilities {
        text_document_sync: Some(TextDocumentSyncCapability::Kind(TextDocumentSyncKind::FULL)),
        hover_provider: Some(HoverProviderCapability::Simple(true)),
        completion_provider: Some(CompletionOptions {
            trigger_characters: Some(signs.map(String::from).to_vec()),
            ..CompletionOptions::default()
        }),
        definition_provider: Some(OneOf::Left(true)),
        references_provider: Some(OneOf::Left(true)),
        document_highlight_provider: Some(OneOf::Left(true)),
        code_action_provider: Some(CodeActionProviderCapability::Options(CodeActionOptions {
            code_action_kinds: Some(vec![CodeActionKind::QUICKFIX]),
            ..CodeActionOptions::default()
        })),
        rename_provider: Some(OneOf::Right(RenameOptions {
            prepare_provider: Some(true),
            work_done_progress_options: Default::default(),
        })),
        document_symbol_provider: Some(OneOf::Left(true)),
        document_formatting_provider: Some(OneOf::Left(true)),
        inlay_hint_provider: Some(OneOf::Left(true)),
        ..ServerCapabilities::default()
    }
}

fn publish(connection: &Connection, documents: &Documents, uri: &Uri) -> Result<(), RequestError> {
    let document = documents.get(uri);
    let params = PublishDiagnosticsParams {
        uri: uri.clone(),
        version: document.map(|document| document.version),
        // What was said of a closed text is taken back.
        diagnostics: document.map(diagnostics::diagnostics).unwrap_or_default(),
    };
    let notification = Notification::new(PublishDiagnostics::METHOD.to_string(), params);
    Ok(connection.sender.send(notification.into())?)
}

/// Takes a notification; gives the text that it closed.
fn note(documents: &mut Documents, notification: Notification) -> Option<Uri> {
    match notification.method.as_str() {
        DidOpenTextDocument::METHOD => {
            let params: lsp_types::DidOpenTextDocumentParams = read(notification.params)?;
            let item = params.text_document;
            documents.put(item.uri, item.version, item.text);
        }
        DidChangeTextDocument::METHOD => {
            let params: lsp_types::DidChangeTextDocumentParams = read(notification.params)?;
            let whole = params.content_changes.into_iter().last()?;
            documents.put(params.text_document.uri, params.text_document.version, whole.text);
        }
        DidCloseTextDocument::METHOD => {
            let params: lsp_types::DidCloseTextDocumentParams = read(notification.params)?;
            documents.close(&params.text_document.uri);
            return Some(params.text_document.uri);
        }
        _ => {}
    }
    None
}

fn read<T: DeserializeOwned>(params: serde_json::Value) -> Option<T> {
    serde_json::from_value(params).ok()
}

fn answer(documents: &Documents, request: Request) -> Response {
    let Request { id, method, params } = request;
    let answer = Answer { documents, id, params };
    match method.as_str() {
        HoverRequest::METHOD => answer.at_place(hover::hover),
        GotoDefinition::METHOD => answer.at_place(references::definition),
        References::METHOD => answer.give(|document, params: &ReferenceParams| {
            let offset = document.text.offset(params.text_document_position.position);
            Ok(references::references(documents, document, offset, params.context.include_declaration))
        }),
        DocumentHighlightRequest::METHOD => {
            answer.at_place(|document, offset| Some(references::highlights(document, offset)))
        }
        CodeActionRequest::METHOD => {
            answer.give(|document, params: &CodeActionParams| Ok(actions::actions(document, params)))
        }
        PrepareRenameRequest::METHOD => answer.at_place(navigation::renamable),
        Completion::METHOD => answer.at_place(|document, offset| Some(completion::completion(document, offset))),
        Rename::METHOD => answer.give(|document, params: &RenameParams| {
            navigation::rename(document, document.text.offset(params.text_document_position.position), &params.new_name)
        }),
        DocumentSymbolRequest::METHOD => answer.of_text(navigation::symbols),
        Formatting::METHOD => answer.of_text(navigation::format),
        InlayHintRequest::METHOD => {
            answer.give(|document, params: &InlayHintParams| Ok(hints::hints(document, params.range)))
        }
        _ => Response::new_err(answer.id, ErrorCode::MethodNotFound as i32, format!("`{method}` is not known")),
    }
}

/// A request that is being answered.
struct Answer<'d> {
    documents: &'d Documents,
    id: RequestId,
    params: serde_json::Value,
}

/// The part of a request that all of ours have.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfText {
    text_document: TextDocumentIdentifier,
}

impl Answer<'_> {
    /// Answers with what a function says of the text; null for a text that is not open.
    fn give<P: DeserializeOwned, R: Serialize>(
        self,
        answer: impl FnOnce(&Document, &P) -> Result<R, Refusal>,
    ) -> Response {
        let of: Option<OfText> = read(self.params.clone());
        let (Some(of), Some(params)) = (of, read::<P>(self.params)) else {
            return Response::new_err(self.id, ErrorCode::InvalidParams as i32, "the request cannot be read".into());
        };
        match self.documents.get(&of.text_document.uri).map(|document| answer(document, &params)) {
            None => Response::new_ok(self.id, ()),
            Some(Ok(result)) => Response::new_ok(self.id, result),
            Some(Err(refusal)) => Response::new_err(self.id, ErrorCode::RequestFailed as i32, refusal),
        }
    }

    fn at_place<R: Serialize>(self, answer: impl FnOnce(&Document, usize) -> Option<R>) -> Response {
        self.give(|document, params: &TextDocumentPositionParams| {
            Ok(answer(document, document.text.offset(params.position)))
        })
    }

    fn of_text<R: Serialize>(self, answer: impl FnOnce(&Document) -> R) -> Response {
        self.give(|document, _: &OfText| Ok(answer(document)))
    }
}
