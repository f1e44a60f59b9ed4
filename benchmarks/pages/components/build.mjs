// Bundles each page of src/ into build/: one script and, where a library brings one, one style sheet.
import { readdirSync } from "node:fs";
import esbuild from "esbuild";
import svelte from "esbuild-svelte";

const here = new URL(".", import.meta.url).pathname;
const wanted = process.argv.slice(2);
const pages = readdirSync(`${here}src`).filter((name) => /\.jsx?$/.test(name) && !name.includes("-parts")).filter((name) => !wanted.length || wanted.includes(name.split(".")[0]));
let failed = 0;
for (const page of pages) {
  const name = page.split(".")[0];
  try {
    await esbuild.build({
      entryPoints: [`${here}src/${page}`], outfile: `${here}build/${name}.js`, bundle: true, minify: true, format: "esm", target: "es2022", jsx: "automatic",
      logLevel: "error", charset: "utf8", mainFields: ["svelte", "browser", "module", "main"], conditions: ["svelte", "browser"],
      define: { "process.env": "{}", "process.env.NODE_ENV": '"production"', __VUE_OPTIONS_API__: "true", __VUE_PROD_DEVTOOLS__: "false", __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: "false" },
      loader: { ".svg": "dataurl", ".png": "dataurl", ".gif": "dataurl", ".woff": "dataurl", ".woff2": "dataurl", ".ttf": "dataurl", ".eot": "dataurl" },
      plugins: [svelte({ compilerOptions: { css: "injected" } })],
    });
    console.log(`built ${name}`);
  } catch (error) {
    failed++;
    console.error(`not built: ${name}: ${String(error.message).split("\n").slice(0, 4).join(" ")}`);
  }
}
process.exit(failed ? 1 : 0);
