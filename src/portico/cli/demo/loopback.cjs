// Preloaded into the example server: it listens on every interface and has no option for less.
"use strict";
const { Server } = require("node:net");

const listen = Server.prototype.listen;
Server.prototype.listen = function (port, ...rest) {
  const onPort = typeof port === "number" || /^\d+$/.test(port);
  return onPort ? listen.call(this, { port: Number(port), host: "127.0.0.1" }, ...rest) : listen.call(this, port, ...rest);
};
