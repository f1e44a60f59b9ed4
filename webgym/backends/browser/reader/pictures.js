// Pictures that show under the pointer only, kept so that they stay in the browser's memory.
(w) => {
  const pictures = new Map();
  // Load those that are not there yet; returns how many were not.
  w.preload = () => {
    const before = pictures.size;
    for (const sheet of document.styleSheets) {
      let rules = [];
      try { rules = sheet.cssRules; } catch { continue; }  // of another origin
      for (const rule of rules)
        if (/:hover/.test(rule.selectorText ?? "") && rule.style?.content)
          for (const [, url] of rule.style.content.matchAll(/url\("([^"]+)"\)/g)) {
            const address = URL.parse(url, sheet.href ?? document.baseURI)?.href;  // what is no address shows nothing
            if (address && !pictures.has(address)) pictures.set(address, Object.assign(new Image(), { src: address }));
          }
    }
    return pictures.size - before;
  };
}
