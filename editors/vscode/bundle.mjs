// Makes what the package holds besides the files here: the bundled extension, the grammar and the licences.

import { build } from "esbuild";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";

await build({
  entryPoints: ["extension.js"],
  outfile: "dist/extension.js",
  bundle: true,
  minify: true,
  platform: "node",
  target: "node18",
  external: ["vscode"],
  // Licences of what is bundled.
  legalComments: "inline",
});
// The client looks for it beside itself, to end a server that hangs.
copyFileSync("node_modules/vscode-languageclient/lib/node/terminateProcess.sh", "dist/terminateProcess.sh");
copyFileSync("../netc.tmLanguage.json", "netc.tmLanguage.json");
const licences = ["../../LICENSE-MIT", "../../LICENSE-APACHE"].map((path) => readFileSync(path, "utf8"));
writeFileSync("LICENSE.txt", `At your choice, one of two licences.\n\n${licences.join("\n")}`);
