import React from "react";
import { createRoot } from "react-dom/client";
import * as A from "@ariakit/react";
createRoot(document.getElementById("app")).render(<div>
  <A.MenuProvider><A.MenuButton>Edit</A.MenuButton><A.Menu><A.MenuItem>Cut</A.MenuItem><A.MenuItem>Paste</A.MenuItem></A.Menu></A.MenuProvider>
  <A.SelectProvider defaultValue="Apple"><A.SelectLabel>Fruit</A.SelectLabel><A.Select /><A.SelectPopover><A.SelectItem value="Apple" /><A.SelectItem value="Pear" /></A.SelectPopover></A.SelectProvider>
  <A.ComboboxProvider><A.ComboboxLabel>Town</A.ComboboxLabel><A.Combobox /><A.ComboboxPopover><A.ComboboxItem value="Bonn" /><A.ComboboxItem value="Rome" /></A.ComboboxPopover></A.ComboboxProvider>
  <A.TabProvider><A.TabList aria-label="Parts"><A.Tab>One</A.Tab><A.Tab>Two</A.Tab></A.TabList><A.TabPanel>First</A.TabPanel><A.TabPanel>Second <button>In</button></A.TabPanel></A.TabProvider>
  <A.DisclosureProvider><A.Disclosure>More</A.Disclosure><A.DisclosureContent>Told</A.DisclosureContent></A.DisclosureProvider>
  <label><A.Checkbox /> Agree</label>
</div>);
