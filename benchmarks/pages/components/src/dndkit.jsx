import React from "react";
import { createRoot } from "react-dom/client";
import { DndContext, useDraggable, useDroppable } from "@dnd-kit/core";
function Thing({ id }) { const { attributes, listeners, setNodeRef, transform } = useDraggable({ id }); return <button ref={setNodeRef} {...listeners} {...attributes} style={{ transform: transform ? `translate(${transform.x}px,${transform.y}px)` : undefined }}>{id}</button>; }
function Zone({ id, children }) { const { setNodeRef } = useDroppable({ id }); return <div ref={setNodeRef} style={{ border: "1px solid", width: 200, minHeight: 80, margin: 10 }}><p>{id}</p>{children}</div>; }
function App() { const [at, set] = React.useState({ Ant: "Left", Bee: "Left" }); return <DndContext onDragEnd={(e) => e.over && set({ ...at, [e.active.id]: e.over.id })}>{["Left", "Right"].map((z) => <Zone key={z} id={z}>{Object.keys(at).filter((k) => at[k] === z).map((k) => <Thing key={k} id={k} />)}</Zone>)}</DndContext>; }
createRoot(document.getElementById("app")).render(<App />);
