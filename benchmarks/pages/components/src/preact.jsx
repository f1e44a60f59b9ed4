/** @jsxImportSource preact */
import { render } from "preact";
import { useState } from "preact/hooks";
function App() {
  const [rows, set] = useState([{ n: "Ann", ok: true }, { n: "Bob", ok: false }]), [q, setQ] = useState("");
  return <div><input type="search" aria-label="Find" value={q} onInput={(e) => setQ(e.currentTarget.value)} /><table><tbody>{rows.filter((r) => r.n.includes(q)).map((r) =>
    <tr key={r.n} onClick={() => set(rows.map((x) => (x === r ? { ...x, ok: !x.ok } : x)))} style="cursor:pointer"><td>{r.n}</td><td>{r.ok ? "yes" : "no"}</td></tr>)}</tbody></table><button onClick={() => set([...rows, { n: "Cid", ok: true }])}>More</button></div>;
}
render(<App />, document.getElementById("app"));
