import React from "react";
import { createRoot } from "react-dom/client";
import * as M from "@mui/material";
function App() {
  const [anchor, setAnchor] = React.useState(null), [open, setOpen] = React.useState(false), [tab, setTab] = React.useState(0), [fruit, setFruit] = React.useState("a");
  return <div><M.Button variant="contained" onClick={() => setOpen(true)}>Open</M.Button><M.Dialog open={open} onClose={() => setOpen(false)}><M.DialogTitle>Box</M.DialogTitle><M.DialogContent><M.TextField label="Mail" /></M.DialogContent><M.DialogActions><M.Button onClick={() => setOpen(false)}>Close</M.Button></M.DialogActions></M.Dialog>
    <M.TextField label="Name" /><M.FormControl><M.InputLabel id="f">Fruit</M.InputLabel><M.Select labelId="f" value={fruit} onChange={(e) => setFruit(e.target.value)} sx={{ width: 160 }}><M.MenuItem value="a">Apple</M.MenuItem><M.MenuItem value="p">Pear</M.MenuItem></M.Select></M.FormControl>
    <M.Autocomplete options={["Bonn", "Oslo", "Rome"]} renderInput={(p) => <M.TextField {...p} label="Town" />} sx={{ width: 240 }} /><M.FormControlLabel control={<M.Checkbox />} label="Agree" /><M.FormControlLabel control={<M.Switch />} label="News" />
    <M.RadioGroup><M.FormControlLabel value="s" control={<M.Radio />} label="Small" /><M.FormControlLabel value="l" control={<M.Radio />} label="Large" /></M.RadioGroup><M.Slider defaultValue={30} aria-label="Loud" sx={{ width: 200 }} /><M.Rating defaultValue={2} />
    <M.Tabs value={tab} onChange={(_, v) => setTab(v)}><M.Tab label="One" /><M.Tab label="Two" /></M.Tabs><M.Button onClick={(e) => setAnchor(e.currentTarget)}>Menu</M.Button><M.Menu anchorEl={anchor} open={!!anchor} onClose={() => setAnchor(null)}><M.MenuItem onClick={() => setAnchor(null)}>Cut</M.MenuItem><M.MenuItem>Copy</M.MenuItem></M.Menu>
    <M.Accordion><M.AccordionSummary>More</M.AccordionSummary><M.AccordionDetails>Told</M.AccordionDetails></M.Accordion><M.Chip label="Tag" onDelete={() => {}} onClick={() => {}} /></div>;
}
createRoot(document.getElementById("app")).render(<App />);
