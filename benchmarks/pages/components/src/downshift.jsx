import React from "react";
import { createRoot } from "react-dom/client";
import { useCombobox, useSelect } from "downshift";
const all = ["Apple", "Banana", "Cherry", "Damson"];
function Box() {
  const [items, setItems] = React.useState(all);
  const c = useCombobox({ items, onInputValueChange: ({ inputValue }) => setItems(all.filter((i) => i.toLowerCase().includes((inputValue ?? "").toLowerCase()))) });
  return <div><label {...c.getLabelProps()}>Fruit</label><input {...c.getInputProps()} /><button aria-label="toggle" {...c.getToggleButtonProps()}>v</button>
    <ul {...c.getMenuProps()}>{c.isOpen && items.map((item, index) => <li key={item} {...c.getItemProps({ item, index })}>{item}</li>)}</ul></div>;
}
function Choice() {
  const s = useSelect({ items: all });
  return <div><label {...s.getLabelProps()}>Pick</label><div {...s.getToggleButtonProps()} style={{ border: "1px solid", width: 120 }}>{s.selectedItem ?? "None"}</div>
    <ul {...s.getMenuProps()}>{s.isOpen && all.map((item, index) => <li key={item} {...s.getItemProps({ item, index })}>{item}</li>)}</ul></div>;
}
createRoot(document.getElementById("app")).render(<><Box /><Choice /></>);
