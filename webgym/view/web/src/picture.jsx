// A screenshot with the thing that was acted on marked.
import { useState } from "preact/hooks";
import { shot } from "./api.js";

export function Picture({ run, turn, small }) {
  const [size, setSize] = useState(null);
  if (!turn.screenshot) return small ? <span class="blank">{turn.page.text?.slice(0, 160)}</span> : null;
  const box = turn.box && size && marked(turn.box, size);
  return (
    <span class={`picture ${small ? "small" : ""}`}>
      <img src={shot(run, turn.screenshot)} alt={`the page before: ${turn.action}`} loading="lazy" onLoad={(event) => setSize([event.target.naturalWidth * scale(turn), event.target.naturalHeight * scale(turn)])} />
      {box && <i class={box.point ? "point" : "mark"} style={box.style} />}
    </span>
  );
}

const scale = (turn) => turn.scale ?? 1; // pixels of the page per pixel of the picture, where a report holds a smaller one

function marked([x, y, width, height], [w, h]) {
  const share = (part, whole) => `${(100 * part) / whole}%`;
  if (!width && !height) return { point: true, style: { left: share(x, w), top: share(y, h) } };
  return { style: { left: share(x, w), top: share(y, h), width: share(width, w), height: share(height, h) } };
}
