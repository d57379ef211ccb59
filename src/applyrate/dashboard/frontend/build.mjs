// Builds ../static: the script and the style under names that change with their content, each
// compressed as well, a manifest that tells the names, and the licences of what is bundled.

import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const folder = join(here, "..", "static");
const draft = `${folder}.draft`;

const { outputFiles } = await build({
  entryPoints: [join(here, "app.js")],
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2022",
  entryNames: "[name]-[hash]",
  legalComments: "eof",
  outdir: folder,
  write: false,
});

await rm(draft, { recursive: true, force: true });
await mkdir(draft, { recursive: true });
const manifest = {};
for (const { path, contents } of outputFiles) {
  const name = path.slice(folder.length + 1);
  manifest[name.replace(/-[A-Z0-9]+\./, ".")] = name;
  await writeFile(join(draft, name), contents);
  await writeFile(join(draft, `${name}.gz`), gzipSync(contents, { level: 9 }));
}
await writeFile(join(draft, "licenses.txt"), await licenses());
await writeFile(join(draft, "manifest.json"), JSON.stringify(manifest));
await rm(folder, { recursive: true, force: true });
await rename(draft, folder);

async function licenses() {
  const { dependencies } = JSON.parse(await readFile(join(here, "package.json"), "utf8"));
  const texts = Object.entries(dependencies).map(async ([name, version]) => {
    const text = await readFile(join(here, "node_modules", name, "LICENSE"), "utf8");
    return `${name} ${version}\n\n${text.trim()}\n`;
  });
  return (await Promise.all(texts)).join("\n\n");
}
