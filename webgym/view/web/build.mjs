// Builds ../static from src: one script, one style sheet, one page, and the licences of what is in them.
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const out = new URL("../static/", import.meta.url).pathname;
mkdirSync(out, { recursive: true });
await build({
  entryPoints: { app: "src/main.jsx", play: "src/play.jsx" },
  outdir: out,
  bundle: true,
  minify: true,
  format: "iife",
  target: ["chrome110", "firefox115", "safari16.4"],
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  loader: { ".html": "text" },
});
for (const page of ["index.html", "play.html"]) writeFileSync(out + page, readFileSync(`src/${page}`));

const licences = ["preact", "uplot"].map((name) => {
  const about = JSON.parse(readFileSync(`node_modules/${name}/package.json`));
  return `${name} ${about.version} (${about.license})\n\n${readFileSync(`node_modules/${name}/LICENSE`, "utf8").trim()}\n`;
});
writeFileSync(out + "LICENSES.txt", licences.join(`\n${"-".repeat(80)}\n\n`));

// The tests compare this with the sources, so that a change without a build is noticed where there is no Node.
const sources = [...readdirSync("src").map((name) => `src/${name}`), "build.mjs", "package.json", "package-lock.json"].sort();
const digest = createHash("sha256");
for (const name of sources) digest.update(name).update("\0").update(readFileSync(name)).update("\0");
writeFileSync(out + "sources.sha256", digest.digest("hex") + "\n");
