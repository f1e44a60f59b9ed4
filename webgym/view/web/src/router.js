// The address after #: #/run/NAME/episode/FILE/NUMBER?turn=2. Every page and every slider has one, so every view can be sent on.
import { useEffect, useState } from "preact/hooks";

export const link = (parts, query = {}) => {
  const text = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== "" && value != null)).toString();
  return `#/${parts.map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
};

function decoded(part) {
  try { return decodeURIComponent(part); } catch { return part; } // an address that was typed wrongly
}

function here() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  return { parts: path.split("/").filter(Boolean).map(decoded), query: Object.fromEntries(new URLSearchParams(query ?? "")) };
}

export const go = (parts, query) => { location.hash = link(parts, query); };

export function useRoute() {
  const [route, set] = useState(here);
  useEffect(() => {
    const changed = () => set(here());
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return route;
}

// Changes the query of the address without a step in the history.
export function amend(query) {
  const now = here();
  history.replaceState(null, "", link(now.parts, { ...now.query, ...query }));
  dispatchEvent(new HashChangeEvent("hashchange"));
}
