//! `netc lsp`: the language server. Every text is analysed as it is typed; while it has errors, requests about shapes use the
//! graphs of its last valid version.

mod actions;
mod completion;
mod cursor;
mod diagnostics;
mod documents;
mod hints;
mod hover;
mod navigation;
mod paths;
mod references;
mod rename;
mod shipped_files;
mod signatures;
mod transport;

use documents::{Document, Documents};
use lsp_server::{Connection, ErrorCode, Message, Notification, Request, RequestId, Response};
use lsp_types::notification::{
    DidChangeTextDocument, DidCloseTextDocument, DidOpenTextDocument, Exit, Notification as _, PublishDiagnostics,
};
use lsp_types::request::{
    CodeActionRequest, Completion, DocumentHighlightRequest, DocumentSymbolRequest, Formatting, GotoDefinition,
    HoverRequest, Initialize, InlayHintRequest, PrepareRenameRequest, References, Rename, Request as _, Shutdown,
    SignatureHelpRequest,
};
use lsp_types::{
    CodeActionKind, CodeActionOptions, CodeActionParams, CodeActionProviderCapability, CompletionOptions,
    HoverProviderCapability, InlayHintParams, OneOf, PublishDiagnosticsParams, ReferenceParams, RenameOptions,
    RenameParams, ServerCapabilities, SignatureHelpOptions, TextDocumentIdentifier, TextDocumentPositionParams,
    TextDocumentSyncCapability, TextDocumentSyncKind, Uri,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::error::Error;

/// An error that ends the server.
type ServerError = Box<dyn Error + Send + Sync>;

/// Why a request is refused, as a message for the user.
type Refusal = String;

/// Where the conversation with the editor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Before `initialize`.
    New,
    Open,
    /// After `shutdown`.
    Closed,
}

/// Serves one editor over stdin and stdout until it sends `exit` or disconnects.
///
/// # Errors
/// As [`serve_connection`], I/O errors of stdout, and threads that cannot be started.
pub fn serve() -> Result<(), ServerError> {
    let (connection, writer) = transport::stdio()?;
    let served = serve_connection(&connection);
    transport::finish(connection, writer)?;
    served
}

/// Serves one editor over an open connection.
///
/// # Errors
/// A connection that breaks, and an editor that ends it without a `shutdown` before.
pub fn serve_connection(connection: &Connection) -> Result<(), ServerError> {
    let mut documents = Documents::default();
    let mut phase = Phase::New;
    loop {
        // While messages are queued, an analysis would be stale at once: only the newest text is analysed.
        if connection.receiver.is_empty() {
            for uri in documents.analyse() {
                publish(connection, &documents, &uri)?;
            }
        }
        let Ok(message) = connection.receiver.recv() else { return Ok(()) };
        match message {
            Message::Request(request) => {
                let refused = |code, why: &str| Response::new_err(request.id.clone(), code as i32, why.into());
                let response = match (phase, request.method.as_str()) {
                    (Phase::New, Initialize::METHOD) => {
                        phase = Phase::Open;
                        let server = json!({ "name": "netc", "version": env!("CARGO_PKG_VERSION") });
                        let result = json!({ "capabilities": capabilities(), "serverInfo": server });
                        Response::new_ok(request.id, result)
                    }
                    (Phase::New, _) => refused(ErrorCode::ServerNotInitialized, "`initialize` must come first"),
                    (_, Initialize::METHOD) => refused(ErrorCode::InvalidRequest, "the server is already initialized"),
                    (Phase::Open, Shutdown::METHOD) => {
                        phase = Phase::Closed;
                        Response::new_ok(request.id, ())
                    }
                    (Phase::Closed, _) => refused(ErrorCode::InvalidRequest, "the server is shut down"),
                    (Phase::Open, _) => {
                        for uri in documents.analyse() {
                            publish(connection, &documents, &uri)?;
                        }
                        answer(&documents, request)
                    }
                };
                connection.sender.send(response.into())?;
            }
            Message::Notification(notification) if notification.method == Exit::METHOD => {
                return match phase {
                    Phase::Closed => Ok(()),
                    _ => Err("the editor sent `exit` without `shutdown`".into()),
                };
            }
            Message::Notification(_) if phase != Phase::Open => {}
            Message::Notification(notification) => {
                if let Some(closed) = handle_notification(&mut documents, notification) {
                    publish(connection, &documents, &closed)?;
                }
            }
            Message::Response(_) => {}
        }
    }
}

fn capabilities() -> ServerCapabilities {
    let triggers = ["[", ".", "(", ",", "=", "-", "/", "\""];
    ServerCapabilities {
        text_document_sync: Some(TextDocumentSyncCapability::Kind(TextDocumentSyncKind::FULL)),
        hover_provider: Some(HoverProviderCapability::Simple(true)),
        completion_provider: Some(CompletionOptions {
            trigger_characters: Some(triggers.map(String::from).to_vec()),
            ..CompletionOptions::default()
        }),
        signature_help_provider: Some(SignatureHelpOptions {
            trigger_characters: Some(["(", ",", "="].map(String::from).to_vec()),
            ..SignatureHelpOptions::default()
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

fn publish(connection: &Connection, documents: &Documents, uri: &Uri) -> Result<(), ServerError> {
    let document = documents.get(uri);
    let params = PublishDiagnosticsParams {
        uri: uri.clone(),
        version: document.map(|document| document.version),
        // An empty list clears the diagnostics of a closed text.
        diagnostics: document.map(diagnostics::diagnostics).unwrap_or_default(),
    };
    let notification = Notification::new(PublishDiagnostics::METHOD.to_string(), params);
    Ok(connection.sender.send(notification.into())?)
}

/// Handles a notification; returns the URI of the text that it closed.
fn handle_notification(documents: &mut Documents, notification: Notification) -> Option<Uri> {
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
        HoverRequest::METHOD => answer.at_position(hover::hover),
        GotoDefinition::METHOD => answer.at_position(references::definition),
        References::METHOD => answer.give(|document, params: &ReferenceParams| {
            let offset = document.text.offset(params.text_document_position.position);
            Ok(references::references(documents, document, offset, params.context.include_declaration))
        }),
        DocumentHighlightRequest::METHOD => {
            answer.at_position(|document, offset| Some(references::highlights(document, offset)))
        }
        CodeActionRequest::METHOD => {
            answer.give(|document, params: &CodeActionParams| Ok(actions::actions(document, params)))
        }
        PrepareRenameRequest::METHOD => answer.at_position(rename::renamable),
        SignatureHelpRequest::METHOD => answer.at_position(signatures::signature_help),
        Completion::METHOD => answer.at_position(|document, offset| Some(completion::completion(document, offset))),
        Rename::METHOD => answer.give(|document, params: &RenameParams| {
            rename::rename(
                documents,
                document,
                document.text.offset(params.text_document_position.position),
                &params.new_name,
            )
        }),
        DocumentSymbolRequest::METHOD => answer.of_text(navigation::symbols),
        Formatting::METHOD => answer.of_text(navigation::format),
        InlayHintRequest::METHOD => {
            answer.give(|document, params: &InlayHintParams| Ok(hints::hints(document, params.range)))
        }
        _ => Response::new_err(answer.id, ErrorCode::MethodNotFound as i32, format!("unknown method `{method}`")),
    }
}

/// A request that is being answered.
struct Answer<'d> {
    documents: &'d Documents,
    id: RequestId,
    params: serde_json::Value,
}

/// The parameters that all requests have.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TextParams {
    text_document: TextDocumentIdentifier,
}

impl Answer<'_> {
    /// Answers with the result of a function of the document; null for a text that is not open.
    fn give<P: DeserializeOwned, R: Serialize>(
        self,
        answer: impl FnOnce(&Document, &P) -> Result<R, Refusal>,
    ) -> Response {
        let text: Option<TextParams> = read(self.params.clone());
        let (Some(text), Some(params)) = (text, read::<P>(self.params)) else {
            return Response::new_err(self.id, ErrorCode::InvalidParams as i32, "invalid parameters".into());
        };
        match self.documents.get(&text.text_document.uri).map(|document| answer(document, &params)) {
            None => Response::new_ok(self.id, ()),
            Some(Ok(result)) => Response::new_ok(self.id, result),
            Some(Err(refusal)) => Response::new_err(self.id, ErrorCode::RequestFailed as i32, refusal),
        }
    }

    fn at_position<R: Serialize>(self, answer: impl FnOnce(&Document, usize) -> Option<R>) -> Response {
        self.give(|document, params: &TextDocumentPositionParams| {
            Ok(answer(document, document.text.offset(params.position)))
        })
    }

    fn of_text<R: Serialize>(self, answer: impl FnOnce(&Document) -> R) -> Response {
        self.give(|document, _: &TextParams| Ok(answer(document)))
    }
}
