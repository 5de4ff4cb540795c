// tests/targets/platform/wasm.js: node wasm.js MODULE runs the cases of a module and exits with 1 if one fails.
const fs = require('fs');

let memory;
const put = (text, length) => process.stdout.write(Buffer.from(memory.buffer, text, length));
const module_ = new WebAssembly.Module(fs.readFileSync(process.argv[2]));
const instance = new WebAssembly.Instance(module_, {host: {put}});
memory = instance.exports.memory;
process.exitCode = instance.exports.run() === 0 ? 0 : 1;
