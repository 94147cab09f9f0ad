// Hello world as Express's guide has it, in a cluster, as its guide to production advises:
// NODE_ENV=production node app.js PORT PROCESSES.

import cluster from "node:cluster";
import express from "express";

const [port, processes] = process.argv.slice(2).map(Number);

if (cluster.isPrimary) {
  for (let i = 0; i < processes; i++) cluster.fork();
} else {
  const app = express();
  app.get("/", (req, res) => res.send("Hello, World!"));
  app.listen(port, "127.0.0.1");
}
