// Drives a server with ioredis: connects as the library does by default (HELLO 3, CLIENT
// SETINFO, INFO), then strings, keys, connection and server commands.
//
//     node ioredis.js PORT [--protocol 2|3] [--target standalone|cluster|proxy]
//
// Prints one line per failure, then `N passed, N failed`; the exit status says the same.
'use strict';

const assert = require('node:assert/strict');
const path = require('node:path');

const tools = process.env.SLOTILLA_TOOLS_DIR || path.join(__dirname, '../../../target/tools');
const Redis = require(path.resolve(tools, 'node/node_modules/ioredis'));

const [port, ...flags] = process.argv.slice(2);
const flag = (name, otherwise) => {
  const place = flags.indexOf(name);
  return place < 0 ? otherwise : flags[place + 1];
};
const target = flag('--target', 'standalone');
const protocol = flag('--protocol');
const options = { host: '127.0.0.1', port: Number(port), lazyConnect: true };
if (protocol !== undefined) options.protocol = Number(protocol);

const checks = {
  async strings(r) {
    assert.equal(await r.set('a', '1', 'EX', 100), 'OK');
    assert.equal(await r.get('a'), '1');
    assert.ok((await r.ttl('a')) > 90);
    assert.equal(await r.set('a', '2', 'NX'), null);
    assert.equal(await r.set('a', '2', 'XX', 'GET'), '1');
    assert.equal(await r.setex('b', 10, 'x'), 'OK');
    assert.equal(await r.psetex('b', 10000, 'x'), 'OK');
    assert.equal(await r.setnx('b', 'y'), 0);
    assert.equal(await r.getset('b', 'z'), 'x');
    assert.equal(await r.getex('b', 'PERSIST'), 'z');
    assert.equal(await r.append('b', 'yx'), 3);
    assert.equal(await r.strlen('b'), 3);
    assert.equal(await r.getrange('b', 1, -1), 'yx');
    assert.equal(await r.setrange('b', 1, 'AB'), 3);
    assert.equal(await r.getdel('b'), 'zAB');
  },
  async counters(r) {
    assert.equal(await r.incr('n'), 1);
    assert.equal(await r.incrby('n', 41), 42);
    assert.equal(await r.decrby('n', 2), 40);
    assert.equal(await r.incrbyfloat('n', 0.5), '40.5');
    await assert.rejects(r.incr('n'), /not an integer or out of range/);
  },
  async manyKeys(r) {
    assert.equal(await r.mset({ '{t}a': '1', '{t}b': '2' }), 'OK');
    assert.deepEqual(await r.mget('{t}a', '{t}none', '{t}b'), ['1', null, '2']);
    assert.equal(await r.exists('{t}a', '{t}b', '{t}none'), 2);
    assert.equal(await r.rename('{t}a', '{t}c'), 'OK');
    assert.equal(await r.copy('{t}b', '{t}d'), 1);
    assert.equal(await r.unlink('{t}b', '{t}c', '{t}d'), 3);
    assert.equal(await r.lcs('{t}a', '{t}b'), '');
  },
  async keysOfManySlots(r) {
    if (target === 'cluster') return;
    const keys = Array.from({ length: 200 }, (_, number) => `key:${number}`);
    await r.mset(...keys.flatMap((key) => [key, key]));
    assert.deepEqual(await r.mget(...keys), keys);
    const seen = new Set();
    for await (const batch of r.scanStream({ match: 'key:*', count: 30 })) batch.forEach((key) => seen.add(key));
    assert.deepEqual([...seen].sort(), [...keys].sort());
    assert.equal(await r.dbsize(), 200);
    assert.equal(await r.del(...keys), 200);
  },
  async expiry(r) {
    await r.set('a', '1');
    assert.equal(await r.expire('a', 100), 1);
    assert.equal(await r.pexpire('a', 50000, 'LT'), 1);
    assert.ok((await r.pttl('a')) > 40000);
    assert.ok((await r.expiretime('a')) > Date.now() / 1000);
    assert.equal(await r.persist('a'), 1);
    assert.equal(await r.type('a'), 'string');
    assert.equal(await r.object('ENCODING', 'a'), 'int');
  },
  async connection(r) {
    assert.equal(await r.ping(), 'PONG');
    assert.equal(await r.echo('text'), 'text');
    assert.equal(await r.client('SETNAME', 'smoke'), 'OK');
    assert.equal(await r.client('GETNAME'), 'smoke');
    assert.match(await r.client('LIST'), /name=smoke/);
    assert.match(await r.info(), /redis_version:/);
    assert.equal((await r.time()).length, 2);
    assert.ok((await r.command('COUNT')) > 50);
    assert.deepEqual(await r.command('GETKEYS', 'GET', 'a'), ['a']);
    await assert.rejects(r.call('NOSUCH', 'x'), /unknown command/);
  },
  async pipelines(r) {
    const pipe = r.pipeline();
    for (let number = 0; number < 1000; number++) pipe.set(`p:${number}`, number).get(`p:${number}`);
    const replies = await pipe.exec();
    replies.forEach(([error, reply], place) => {
      assert.equal(error, null);
      assert.equal(reply, place % 2 ? String((place - 1) / 2) : 'OK');
    });
  },
  async concurrency(r) {
    const clients = Array.from({ length: 20 }, () => r.duplicate());
    await Promise.all(clients.map((client, number) => client.set(`c:${number}`, number)));
    const got = await Promise.all(clients.map((client, number) => client.get(`c:${number}`)));
    assert.deepEqual(got, clients.map((_, number) => String(number)));
    clients.forEach((client) => client.disconnect());
  },
  async binary(r) {
    const value = Buffer.from(Array.from({ length: 65536 }, (_, number) => number & 255));
    await r.set('binary', value);
    assert.ok(value.equals(await r.getBuffer('binary')));
  },
  async clusterClient() {
    if (target !== 'cluster') return;
    const cluster = new Redis.Cluster([{ host: '127.0.0.1', port: Number(port) }], { redisOptions: options });
    cluster.on('error', () => {});
    const limit = setTimeout(() => cluster.disconnect(), 10000);
    try {
      for (let number = 0; number < 100; number++) assert.equal(await cluster.set(`c:${number}`, number), 'OK');
      for (let number = 0; number < 100; number++) assert.equal(await cluster.get(`c:${number}`), String(number));
    } finally {
      clearTimeout(limit);
      cluster.disconnect();
    }
  },
};

(async () => {
  let passed = 0;
  let failed = 0;
  for (const [name, run] of Object.entries(checks)) {
    const r = new Redis(options);
    r.on('error', () => {}); // a lost connection fails the call that waits for it
    const limit = setTimeout(() => r.disconnect(), 20000);
    try {
      await r.connect();
      await r.flushall();
      await run(r);
      passed++;
    } catch (error) {
      failed++;
      console.log(`FAILED ${name}: ${error.stack}`);
    } finally {
      clearTimeout(limit);
      r.disconnect();
    }
  }
  const version = require(path.resolve(tools, 'node/node_modules/ioredis/package.json')).version;
  console.log(`ioredis ${version}, protocol ${protocol || 'default'}, ${target}: ${passed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
})();
