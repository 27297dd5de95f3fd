#!/usr/bin/env python3
"""Drives a server with redis-py: connects as the library does by default, then every command
of strings, keys, connection and server through the library's own methods, whose parsers are
stricter than a reader of RESP.

    redis_py.py PORT [--protocol 2|3] [--target standalone|cluster|proxy]

Prints one line per failure, then `N passed, N failed`; the exit status says the same."""

import argparse
import asyncio
import sys
import time
import traceback
import warnings

import redis

# SETEX and its like are deprecated, and still sent by many.
warnings.simplefilter("ignore", DeprecationWarning)

CHECKS = []


def check(*targets):
    """Marks a check; with `targets`, one that only these can pass."""
    def mark(function):
        CHECKS.append((function, targets or ("standalone", "cluster", "proxy")))
        return function
    return mark


def raises(text, call, *args, **kwargs):
    try:
        reply = call(*args, **kwargs)
    except redis.ResponseError as error:
        assert text in str(error), f"{error!r} does not say {text!r}"
    else:
        raise AssertionError(f"{reply!r} where an error with {text!r} was due")


@check()
def set_and_its_options(r):
    assert r.set("a", "1") is True
    assert r.get("a") == "1"
    assert r.set("a", "2", nx=True) is None
    assert r.set("a", "2", xx=True, get=True) == "1"
    assert r.set("a", "3", ex=100) and 90 < r.ttl("a") <= 100
    assert r.set("a", "3", keepttl=True) and r.ttl("a") > 90
    assert r.set("a", "3", pxat=int(time.time() * 1000) + 50_000) and 40_000 < r.pttl("a") <= 50_000
    assert r.setex("b", 100, "x") and r.psetex("b", 100_000, "x")
    assert r.setnx("b", "y") is False and r.setnx("fresh", "y") is True
    raises("syntax error", r.execute_command, "SET", "a", "1", "EX", "1", "PX", "1")


@check()
def get_and_its_kin(r):
    r.set("a", "hello world")
    assert r.getset("a", "hello") == "hello world"
    assert r.getex("a", ex=50) == "hello" and 40 < r.ttl("a") <= 50
    assert r.getex("a", persist=True) == "hello" and r.ttl("a") == -1
    assert r.getdel("a") == "hello" and r.get("a") is None
    assert r.append("a", "abc") == 3 and r.append("a", "def") == 6
    assert r.strlen("a") == 6
    assert r.getrange("a", -3, -1) == "def" and r.substr("a", 0, 1) == "ab"
    assert r.setrange("a", 8, "x") == 9 and r.get("a") == "abcdef\0\0x"


@check()
def many_keys_at_once(r):
    tagged = {"{t}a": "1", "{t}b": "2", "{t}c": "3"}
    assert r.mset(tagged) is True
    assert r.mget(["{t}a", "{t}none", "{t}c"]) == ["1", None, "3"]
    assert r.msetnx({"{t}c": "9", "{t}d": "9"}) == 0
    assert r.msetnx({"{t}d": "9", "{t}e": "9"}) == 1
    assert r.exists("{t}a", "{t}b", "{t}none") == 2
    assert r.touch("{t}a", "{t}b") == 2
    assert r.delete("{t}a", "{t}b", "{t}none") == 2
    assert r.unlink("{t}c", "{t}d", "{t}e") == 3


@check("standalone", "proxy")
def many_keys_of_many_slots(r):
    keys = [f"key:{number}" for number in range(200)]
    assert r.mset({key: key.upper() for key in keys}) is True
    assert r.mget(keys) == [key.upper() for key in keys]
    assert r.mget([keys[0], "none", keys[0]]) == ["KEY:0", None, "KEY:0"]
    assert r.exists(*keys, keys[0]) == 201
    assert r.touch(*keys) == 200
    assert sorted(r.scan_iter(match="key:*", count=50)) == sorted(keys)
    assert sorted(r.keys("key:1*")) == sorted(key for key in keys if key.startswith("key:1"))
    assert r.dbsize() == 200 and r.randomkey() in keys
    assert r.delete(*keys[:100]) == 100 and r.unlink(*keys[100:]) == 100
    assert r.dbsize() == 0 and r.randomkey() is None


@check()
def counting(r):
    assert r.incr("n") == 1 and r.incr("n", 41) == 42 and r.incrby("n", 8) == 50
    assert r.decr("n") == 49 and r.decrby("n", 9) == 40
    assert r.incrbyfloat("f", 0.1) == 0.1 and r.incrbyfloat("f", 0.2) == 0.3
    r.set("s", "text")
    raises("value is not an integer or out of range", r.incr, "s")
    r.set("n", 2**63 - 1)
    raises("increment or decrement would overflow", r.incr, "n")


@check()
def longest_common_subsequence(r):
    r.mset({"{t}a": "ohmytext", "{t}b": "mynewtext"})
    assert r.lcs("{t}a", "{t}b") == "mytext"
    assert r.lcs("{t}a", "{t}b", len=True) == 6
    with_places = r.lcs("{t}a", "{t}b", idx=True, withmatchlen=True, minmatchlen=4)
    flat = with_places if isinstance(with_places, list) else sum(map(list, with_places.items()), [])
    assert flat == ["matches", [[[4, 7], [5, 8], 4]], "len", 6], flat


@check()
def expiry(r):
    r.set("a", "1")
    assert r.expire("a", 100) and r.expire("a", 50, gt=True) == 0 and r.expire("a", 50, lt=True)
    assert r.expire("a", 100, nx=True) == 0 and r.expire("a", 100, xx=True)
    assert r.pexpire("a", 90_000) and 80_000 < r.pttl("a") <= 90_000
    at = int(time.time()) + 60
    assert r.expireat("a", at) and r.expiretime("a") == at
    assert r.pexpireat("a", at * 1000 + 5) and r.pexpiretime("a") == at * 1000 + 5
    assert r.persist("a") and r.ttl("a") == -1 and r.expiretime("a") == -1
    assert r.ttl("none") == -2 and r.pttl("none") == -2
    assert r.expire("a", -1) and r.get("a") is None


@check()
def renaming_and_copying(r):
    r.set("{t}a", "1")
    assert r.rename("{t}a", "{t}b") is True
    raises("no such key", r.rename, "{t}a", "{t}b")
    r.set("{t}c", "2")
    assert r.renamenx("{t}b", "{t}c") is False
    assert r.copy("{t}b", "{t}c") is False and r.copy("{t}b", "{t}c", replace=True) is True
    assert r.get("{t}c") == "1" and r.type("{t}c") == "string" and r.type("{t}none") == "none"


@check()
def what_a_key_is(r):
    r.set("n", "12345")
    r.set("s", "short")
    r.set("l", "x" * 1000)
    encodings = [r.object("encoding", key) for key in "nsl"]
    assert encodings == ["int", "embstr", "raw"], encodings
    assert r.object("refcount", "s") == 1 and r.object("idletime", "s") >= 0
    assert r.memory_usage("s") > 0 and r.memory_usage("none") is None
    assert r.object("encoding", "none") is None


@check("standalone")
def several_databases(r):
    r.set("a", "0")
    assert r.move("a", 3) is True and r.get("a") is None
    r.select(3)
    assert r.get("a") == "0" and r.copy("a", "b", destination_db=4) is True
    assert r.swapdb(3, 4) is True
    assert r.get("b") == "0" and r.get("a") is None
    r.select(0)
    assert r.execute_command("FLUSHALL", "ASYNC")
    raises("DB index is out of range", r.execute_command, "SELECT", "16")
    r.select(0)


@check()
def the_connection_itself(r):
    assert r.ping() is True
    assert r.echo("text") == "text"
    assert r.client_id() > 0
    assert r.client_setname("smoke") is True and r.client_getname() == "smoke"
    info = r.client_info()
    assert info["name"] == "smoke", info
    assert any(client["name"] == "smoke" for client in r.client_list())
    hello = r.execute_command("HELLO")
    if isinstance(hello, list):
        hello = dict(zip(hello[::2], hello[1::2]))
    assert {"server", "version", "proto", "id", "mode", "role", "modules"} <= set(hello), hello
    raises("unknown subcommand", r.execute_command, "CLIENT", "NOSUCH")
    raises("wrong number of arguments", r.execute_command, "GET")
    raises("unknown command", r.execute_command, "NOSUCH", "arg")


@check("standalone", "cluster")
def clients_of_a_node(r):
    assert r.client_info()["cmd"] == "client|info"
    assert r.client_no_evict("ON") in ("OK", True)
    tracking = r.client_trackinginfo()
    flags = tracking["flags"] if isinstance(tracking, dict) else tracking[1]
    assert list(flags) == ["off"], tracking
    assert r.client_pause(1, all=False) is True and r.client_unpause() in ("OK", True)
    raises("No such client", r.client_kill, "127.0.0.1:1")
    assert r.client_kill_filter(_id=2**40) == 0
    assert r.acl_whoami() == "default"


@check()
def the_server_in_numbers(r):
    info = r.info()
    for field in ("redis_version", "used_memory", "connected_clients", "uptime_in_seconds"):
        assert field in info, field
    assert info["redis_version"] == "7.0.15" or info["redis_version"].startswith("255."), info
    everything = r.info("everything")
    assert len(everything) >= len(info)
    seconds, microseconds = r.time()
    assert abs(seconds - time.time()) < 5 and 0 <= microseconds < 1_000_000
    commands = r.command()
    assert commands["get"]["arity"] == 2 and "readonly" in commands["get"]["flags"], commands["get"]
    assert r.command_count() == len(commands)
    assert r.command_getkeys("MSET", "a", "1", "b", "2") == ["a", "b"]
    assert "get" in [name.lower() for name in r.command_list()]
    assert r.config_get("maxmemory*")


@check("standalone", "cluster")
def a_nodes_settings_and_logs(r):
    assert r.config_set("maxmemory-policy", "allkeys-lru") is True
    assert r.config_get("maxmemory-policy") == {"maxmemory-policy": "allkeys-lru"}
    assert r.config_set("maxmemory-policy", "noeviction") is True
    raises("CONFIG SET failed", r.config_set, "maxmemory-policy", "nonsense")
    assert r.config_resetstat() is True
    assert r.config_set("slowlog-log-slower-than", 0) is True
    r.set("slow", "1")
    assert r.slowlog_len() >= 1
    assert any(entry["command"].startswith(b"SET slow") for entry in r.slowlog_get(20))
    assert r.config_set("slowlog-log-slower-than", 10000) is True and r.slowlog_reset() is True
    assert r.latency_latest() == [] and r.latency_reset() == 0
    stats = r.memory_stats()
    assert int(stats["total.allocated"]) > 0, stats
    assert r.memory_purge() is True
    assert isinstance(r.execute_command("MEMORY DOCTOR"), str)
    assert r.function_list() == [] and r.function_flush() in ("OK", True)


@check("standalone", "proxy")
def flushing(r):
    r.mset({f"k{number}": "v" for number in range(50)})
    assert r.dbsize() == 50
    assert r.flushdb() is True and r.dbsize() == 0
    r.set("a", "1")
    assert r.flushall(asynchronous=True) is True and r.dbsize() == 0


@check()
def pipelines(r):
    pipe = r.pipeline(transaction=False)
    for number in range(1000):
        pipe.set(f"p:{number}", number)
    for number in range(1000):
        pipe.get(f"p:{number}")
    replies = pipe.execute()
    assert replies[:1000] == [True] * 1000
    assert replies[1000:] == [str(number) for number in range(1000)]


@check()
def big_and_binary_values(r):
    raw = redis.Redis(port=r.smoke_port, protocol=r.smoke_protocol)
    key, value = bytes(range(256)), bytes(range(256)) * 8192
    assert raw.set(key, value) is True and raw.get(key) == value
    assert raw.set(b"", b"") is True and raw.get(b"") == b""
    assert raw.delete(key) == 1 and raw.delete(b"") == 1
    raw.close()


@check()
def fifty_clients(r):
    clients = [redis.Redis(port=r.smoke_port, protocol=r.smoke_protocol) for _ in range(50)]
    for number, client in enumerate(clients):
        assert client.set(f"many:{number}", number) is True
    assert [int(client.get(f"many:{number}")) for number, client in enumerate(clients)] == list(range(50))
    for client in clients:
        client.close()


@check()
def asyncio_client(r):
    async def run():
        client = redis.asyncio.Redis(port=r.smoke_port, protocol=r.smoke_protocol, decode_responses=True)
        await asyncio.gather(*(client.set(f"async:{number}", number) for number in range(100)))
        got = await asyncio.gather(*(client.get(f"async:{number}") for number in range(100)))
        await client.aclose()
        assert got == [str(number) for number in range(100)]
    asyncio.run(run())


@check("cluster")
def cluster_client(r):
    client = redis.RedisCluster(host="127.0.0.1", port=r.smoke_port, protocol=r.smoke_protocol,
                                decode_responses=True)
    for number in range(100):
        assert client.set(f"c:{number}", number) is True
    assert [client.get(f"c:{number}") for number in range(100)] == [str(number) for number in range(100)]
    assert client.mset_nonatomic({f"c:{number}": "x" for number in range(100)})
    assert client.mget_nonatomic([f"c:{number}" for number in range(100)]) == ["x"] * 100
    assert client.cluster_info()["cluster_state"] == "ok"
    assert client.cluster_keyslot("centos") == 467
    assert client.cluster_countkeysinslot(client.keyslot("c:1")) >= 1
    assert "c:1" in client.cluster_get_keys_in_slot(client.keyslot("c:1"), 100)
    assert client.cluster_nodes() and client.cluster_slots() and client.cluster_shards()
    assert client.cluster_myid(client.get_primaries()[0])
    client.close()


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("--protocol", type=int, choices=[2, 3])
    parser.add_argument("--target", choices=["standalone", "cluster", "proxy"], default="standalone")
    return parser.parse_args()


def main():
    args = parse_arguments()
    passed = failed = 0
    for function, targets in CHECKS:
        if args.target not in targets:
            continue
        options = {} if args.protocol is None else {"protocol": args.protocol}
        r = redis.Redis(port=args.port, decode_responses=True, single_connection_client=True, **options)
        r.smoke_port, r.smoke_protocol, r.smoke_target = args.port, args.protocol or 3, args.target
        try:
            r.flushall()
            function(r)
            passed += 1
        except Exception as error:  # every failure is told, then the next check runs
            failed += 1
            place = traceback.extract_tb(error.__traceback__)
            line = next(frame for frame in reversed(place) if frame.filename == __file__)
            print(f"FAILED {function.__name__}, line {line.lineno}: {line.line}: {error!r}")
        finally:
            r.close()
    print(f"redis-py {redis.__version__}, protocol {args.protocol or 'default'}, {args.target}: "
          f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
