// Chance. The same seed gives every document the same numbers.
(kit) => {
  const stream = (seed) => {                               // mulberry32
    let state = seed >>> 0;
    return () => {
      state = (state + 0x6d2b79f5) | 0;
      let t = Math.imul(state ^ (state >>> 15), 1 | state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return (t ^ (t >>> 14)) >>> 0;
    };
  };
  const draw = stream(kit.settings.seed), secret = stream(kit.settings.seed ^ 0x5bd1e995);  // one does not disturb the other
  Math.random = () => draw() / 4294967296;
  const owner = globalThis.Crypto?.prototype;
  kit.wrap(owner, "getRandomValues", (native) => function (array) {
    native.call(this, array);                              // refuses what it refuses
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    for (let i = 0; i < bytes.length; i++) bytes[i] = secret() >>> 24;
    return array;
  });
  kit.wrap(owner, "randomUUID", () => function () {
    const hex = [...crypto.getRandomValues(new Uint8Array(16))].map((byte, i) => (i === 6 ? (byte & 15) | 64 : i === 8 ? (byte & 63) | 128 : byte).toString(16).padStart(2, "0")).join("");
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  });
}
