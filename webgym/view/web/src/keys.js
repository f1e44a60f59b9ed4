// Keyboard: pages register what keys do while they are shown; `?` lists them.
import { useLayoutEffect, useRef } from "preact/hooks";

const layers = [];

export const known = () => layers.flatMap((layer) => Object.entries(layer.current).filter(([, x]) => x.words).map(([key, x]) => [key, x.words]));

// keys: {key: {does, words}}
export function useKeys(keys) {
  const layer = useRef(keys);
  layer.current = keys; // at once: a key that is pressed right after a change must not do what it did before
  useLayoutEffect(() => {
    layers.push(layer);
    return () => layers.splice(layers.indexOf(layer), 1);
  }, []);
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.closest?.("input:not([type=range]),textarea,select");
  if (typing && event.key !== "Escape") return;
  if (event.target.type === "range" && event.key.startsWith("Arrow")) return;
  if (event.target.closest?.("button,a") && event.key === "Enter") return;
  for (const layer of [...layers].reverse()) {
    const found = layer.current[event.key];
    if (found) {
      event.preventDefault();
      found.does(event);
      return;
    }
  }
});
