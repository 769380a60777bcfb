// Starts `netc lsp` and hands it every .net file.

const { workspace } = require("vscode");
const { LanguageClient, TransportKind } = require("vscode-languageclient/node");

let client;

exports.activate = function () {
  const command = workspace.getConfiguration("netc").get("path") || "netc";
  const server = { command, args: ["lsp"], transport: TransportKind.stdio };
  client = new LanguageClient("netc", "netc", server, { documentSelector: [{ language: "netc" }] });
  return client.start();
};

exports.deactivate = function () {
  return client ? client.stop() : undefined;
};
