// Orders become invoices, with amqplib on Node: what is lost is connected again by the application.

import amqplib from "amqplib";

async function run(url) {
  const connection = await amqplib.connect(url);
  const closed = new Promise((resolve) => connection.on("close", resolve));
  connection.on("error", () => {}); // "close" follows
  const channel = await connection.createConfirmChannel();
  await channel.prefetch(10);
  await channel.consume("orders", (order) => {
    if (order === null) return; // cancelled by the broker
    const invoice = Buffer.from(order.content.toString().toUpperCase());
    channel.publish("", "invoices", invoice, {}, (refused) => {
      if (refused) channel.reject(order, false);
      else channel.ack(order);
    });
  });
  console.log("ready");
  await closed;
}

for (let attempt = 0; attempt < 10; attempt++) await run(process.argv[2]);
