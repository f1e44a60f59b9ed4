// The machine, as pages see it: the same one everywhere.
(kit) => {
  const told = (owner, values) => { for (const [name, value] of Object.entries(values)) kit.getter(owner, name, () => () => value); };
  told(Object.getPrototypeOf(navigator), { hardwareConcurrency: 4, deviceMemory: 8 });
  told(globalThis.NetworkInformation?.prototype, { rtt: 50, downlink: 10, effectiveType: "4g" });
  told(Performance.prototype, { memory: Object.freeze({ usedJSHeapSize: 1e7, totalJSHeapSize: 1e7, jsHeapSizeLimit: 4294705152 }) });
  const room = (found) => ({ ...found, quota: 10 * 2 ** 30 });
  kit.wrap(globalThis.StorageManager?.prototype, "estimate", (native) => function () { return kit.apply(native, this, []).then(room); });
}
