import React from "react";
import { createRoot } from "react-dom/client";
import * as H from "@headlessui/react";
function App() {
  const [fruit, setFruit] = React.useState("Apple"), [on, setOn] = React.useState(false), [open, setOpen] = React.useState(false), [plan, setPlan] = React.useState("S"), [q, setQ] = React.useState("");
  const towns = ["Bonn", "Oslo", "Rome"].filter((t) => t.toLowerCase().includes(q.toLowerCase()));
  return <div>
    <H.Menu><H.MenuButton>Options</H.MenuButton><H.MenuItems><H.MenuItem><a href="#s">Settings</a></H.MenuItem><H.MenuItem><button>Sign out</button></H.MenuItem></H.MenuItems></H.Menu>
    <H.Listbox value={fruit} onChange={setFruit}><H.ListboxButton>{fruit}</H.ListboxButton><H.ListboxOptions>{["Apple", "Pear"].map((f) => <H.ListboxOption key={f} value={f}>{f}</H.ListboxOption>)}</H.ListboxOptions></H.Listbox>
    <H.Combobox onClose={() => setQ("")}><H.ComboboxInput aria-label="Town" onChange={(e) => setQ(e.target.value)} /><H.ComboboxButton>v</H.ComboboxButton><H.ComboboxOptions>{towns.map((t) => <H.ComboboxOption key={t} value={t}>{t}</H.ComboboxOption>)}</H.ComboboxOptions></H.Combobox>
    <H.Field><H.Label>News</H.Label><H.Switch checked={on} onChange={setOn} style={{ width: 40, height: 20 }} /></H.Field>
    <H.Disclosure><H.DisclosureButton>More</H.DisclosureButton><H.DisclosurePanel>Told</H.DisclosurePanel></H.Disclosure>
    <H.RadioGroup value={plan} onChange={setPlan} aria-label="Plan">{["S", "L"].map((p) => <H.Radio key={p} value={p}>{`Plan ${p}`}</H.Radio>)}</H.RadioGroup>
    <button onClick={() => setOpen(true)}>Open</button><H.Dialog open={open} onClose={() => setOpen(false)}><H.DialogPanel><H.DialogTitle>Box</H.DialogTitle><button onClick={() => setOpen(false)}>Close</button></H.DialogPanel></H.Dialog>
    <H.TabGroup><H.TabList><H.Tab>One</H.Tab><H.Tab>Two</H.Tab></H.TabList><H.TabPanels><H.TabPanel>First</H.TabPanel><H.TabPanel>Second</H.TabPanel></H.TabPanels></H.TabGroup></div>;
}
createRoot(document.getElementById("app")).render(<App />);
