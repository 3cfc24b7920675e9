"""Hostile programs, by name. Each prints ESCAPED where it got what it should not; what it was offered as canary comes on
standard input. All are bounded: no more than 400 processes, 300 MiB of memory or disk.
"""

HEAD = r"""
import ctypes, errno, json, os, signal, socket, struct, sys, threading, time
canary = json.loads(sys.stdin.readline())
libc = ctypes.CDLL(None, use_errno=True)
def attempt(action):
    try:
        if action() is not False:
            print("ESCAPED", flush=True)
    except BaseException as error:
        print(type(error).__name__, str(error)[:80])
def call(function, *arguments):
    result = function(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result
X86 = os.uname().machine == "x86_64"
def syscall(x86, arm, *arguments):
    return call(libc.syscall, ctypes.c_long(x86 if X86 else arm), *arguments)
zeros = ctypes.create_string_buffer(4096)
def read(path):
    with open(path, "rb") as file:
        return len(file.read(64)) > 0
def write(path, mode="a"):
    with open(path, mode) as file:
        file.write("x")
def connect(family, address, kind=socket.SOCK_STREAM):
    with socket.socket(family, kind) as s:
        s.settimeout(2)
        s.connect(address)
        s.send(b"x")
"""

FILES = {
    "read a file of the host": 'attempt(lambda: read(canary["file"]))',
    "write beside it": 'attempt(lambda: write(canary["folder"] + "/made"))',
    "list its folder": 'attempt(lambda: os.listdir(canary["folder"]))',
    "read it through a symbolic link": 'os.symlink(canary["file"], "link"); attempt(lambda: read("link"))',
    "read it through a hard link": 'attempt(lambda: os.link(canary["file"], "link"))',
    "climb out by dots": 'attempt(lambda: read("../" * 20 + canary["file"][1:]))',
    "proc: root": 'attempt(lambda: read("/proc/self/root" + canary["file"]))',
    "proc: root of process 1": 'attempt(lambda: read("/proc/1/root" + canary["file"]))',
    "proc: environment of the grader": "attempt(lambda: read(f\"/proc/{canary['pid']}/environ\"))",
    "proc: own memory map": 'attempt(lambda: read("/proc/self/maps"))',
    "proc: mount it": 'os.mkdir("p"); attempt(lambda: call(libc.mount, b"proc", b"p", b"proc", 0, None))',
    "password file": 'attempt(lambda: read("/etc/passwd")); attempt(lambda: read("/etc/shadow"))',
    "change the standard library": "attempt(lambda: write(os.__file__))",
    "add to the standard library": 'attempt(lambda: write(os.path.dirname(os.__file__) + "/sitecustomize.py"))',
    "installed packages": 'import glob\nattempt(lambda: read(glob.glob(os.path.dirname(os.__file__) + "/*-packages/*/__init__.py")[0]))',
    "home folders": 'attempt(lambda: os.listdir("/home")); attempt(lambda: os.listdir("/root/.ssh"))',
    "system folder": 'attempt(lambda: os.listdir("/sys/fs/cgroup"))',
    "raw memory and disks": 'for d in ("mem", "kmsg", "sda", "vda", "nvme0n1"): attempt(lambda: read("/dev/" + d))',
    "virtual machines": 'attempt(lambda: os.open("/dev/kvm", os.O_RDWR))',
    "fuse": 'attempt(lambda: os.open("/dev/fuse", os.O_RDWR))',
    "make a device": 'attempt(lambda: os.mknod("disk", 0o60666, os.makedev(254, 0)))',
    "file handles": "attempt(lambda: syscall(304, 265, -100, zeros, 0))",
    "change the root": 'os.mkdir("r"); attempt(lambda: os.chroot("r"))',
    "inherited descriptors": (
        "import stat\n"
        "for fd in range(3, 64):\n"
        "    try: mode = os.fstat(fd).st_mode\n"
        "    except OSError: continue\n"
        "    if not stat.S_ISFIFO(mode): attempt(lambda: True)"
    ),
    "permissions of the library": "attempt(lambda: os.chmod(os.__file__, 0o644))",
}

NETWORK = {
    "loopback": 'attempt(lambda: connect(socket.AF_INET, ("127.0.0.1", canary["port"])))',
    "loopback, version 6": 'attempt(lambda: connect(socket.AF_INET6, ("::1", canary["port"])))',
    "another host": 'attempt(lambda: connect(socket.AF_INET, ("192.0.2.1", 80)))',
    "datagrams": 'attempt(lambda: connect(socket.AF_INET, ("127.0.0.1", canary["port"]), socket.SOCK_DGRAM))',
    "unix socket": 'attempt(lambda: connect(socket.AF_UNIX, canary["socket"]))',
    "abstract socket": 'attempt(lambda: connect(socket.AF_UNIX, "\\0" + canary["name"]))',
    "abstract socket of one's own": 'attempt(lambda: socket.socket(socket.AF_UNIX).bind("\\0left-behind"))',
    "netlink": "attempt(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))",
    "raw packets": "attempt(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))",
    "virtual sockets": "attempt(lambda: socket.socket(40, socket.SOCK_STREAM))",
    "listening": 'attempt(lambda: socket.create_server(("0.0.0.0", 0)))',
    "names": 'attempt(lambda: socket.getaddrinfo("example.com", 80))',
}

PROCESSES = {
    "signal the grader": 'attempt(lambda: os.kill(canary["pid"], 0))',
    "signal everybody": "attempt(lambda: os.kill(-1, 0))",
    "trace the parent": "attempt(lambda: call(libc.ptrace, 0x4206, os.getppid(), 0, 0))",
    "trace the grader": 'attempt(lambda: call(libc.ptrace, 0x4206, canary["pid"], 0, 0))',
    "be traced": "attempt(lambda: call(libc.ptrace, 0, 0, 0, 0))",
    "read the parent's memory": "attempt(lambda: call(libc.process_vm_readv, os.getppid(), zeros, 1, zeros, 1, 0))",
    "take the parent's descriptors": "attempt(lambda: syscall(438, 438, os.pidfd_open(os.getppid()), 3, 0))",
    "run a program": 'attempt(lambda: os.execv("/bin/sh", ["sh", "-c", "echo ESCAPED"]))',
    "run the interpreter": 'import subprocess\nattempt(lambda: subprocess.run([sys.executable, "-c", "print(1)"], check=True))',
    "run from memory": 'attempt(lambda: os.memfd_create("x"))',
    "become root": "attempt(lambda: os.setuid(0)) if os.getuid() else None",
    "become another": "attempt(lambda: os.setresuid(12345, 12345, 12345))",
    "regain capabilities": (
        'header = struct.pack("=Ii", 0x20080522, 0); wanted = struct.pack("=6I", 0xFFFFFFFF, 0xFFFFFFFF, 0, 0, 0, 0)\n'
        "attempt(lambda: syscall(126, 91, ctypes.create_string_buffer(header), ctypes.create_string_buffer(wanted)))"
    ),
    "higher priority": "attempt(lambda: os.nice(-5))",
    "real time": "attempt(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)))",
    "raise a limit": (
        "import resource\n"
        "attempt(lambda: resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2))\n"
        "attempt(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2**40, 2**40)))"
    ),
}

KERNEL = {
    "user namespace": "attempt(lambda: call(libc.unshare, 0x10000000))",
    "mount namespace": "attempt(lambda: call(libc.unshare, 0x20000))",
    "network namespace": "attempt(lambda: call(libc.unshare, 0x40000000))",
    "clone into a user namespace": "attempt(lambda: syscall(56, 220, 0x10000011, 0, 0, 0, 0) or os._exit(0))",
    "clone3 into a user namespace": (
        'args = ctypes.create_string_buffer(struct.pack("=11Q", 0x10000000, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0))\n'
        "attempt(lambda: syscall(435, 435, args, 88) or os._exit(0))"
    ),
    "enter a namespace": "attempt(lambda: syscall(308, 268, 0, 0))",
    "mount": 'attempt(lambda: call(libc.mount, b"x", b"/tmp", b"tmpfs", 0, None))',
    "mount again, writable": 'attempt(lambda: call(libc.mount, b"x", b"/", None, 32, None))',
    "unmount": 'attempt(lambda: call(libc.umount2, b"/tmp", 2))',
    "new mount interface": 'attempt(lambda: syscall(430, 430, b"tmpfs", 0))',
    "io_uring": "attempt(lambda: syscall(425, 425, 1, zeros))",
    "bpf": "attempt(lambda: syscall(321, 280, 0, zeros, 64))",
    "userfaultfd": "attempt(lambda: syscall(323, 282, 1))",
    "performance counters": "attempt(lambda: syscall(298, 241, zeros, 0, -1, -1, 0))",
    "add a key": 'attempt(lambda: syscall(248, 217, b"user", b"left", b"behind", 6, -3))',
    "read the keyring": "attempt(lambda: syscall(250, 219, 0, -3, 1))",
    "load a kernel": "attempt(lambda: syscall(246, 104, 0, 0, 0, 0))",
    "load a module": 'attempt(lambda: syscall(175, 105, zeros, 64, b""))',
    "set the clock": "attempt(lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()))",
    "set the host name": 'attempt(lambda: socket.sethostname("owned"))',
    "reboot": "attempt(lambda: syscall(169, 142, 0, 0, 0, 0))",
    "kernel log": "attempt(lambda: syscall(103, 116, 10, 0, 0))",
    "personality": "attempt(lambda: syscall(135, 92, 0x0040000))",
    "swap": 'attempt(lambda: syscall(167, 224, b"/tmp/x", 0))',
    "shared memory segments": "attempt(lambda: syscall(29, 194, 0x1234, 4096, 0o1666))",
    "message queues": 'attempt(lambda: syscall(240, 180, b"left", 0o102, 0o666, 0))',
    "terminal input": 'attempt(lambda: call(libc.ioctl, 0, 0x5412, b"x"))',
    "watch files": "attempt(lambda: call(libc.inotify_init))",
}

EXHAUSTION = {
    "processes": (
        "made = 0\ntry:\n    while made < 300:\n        if os.fork() == 0:\n            time.sleep(20); os._exit(0)\n"
        "        made += 1\nexcept OSError: pass\nattempt(lambda: made > 96)"
    ),
    "a fork bomb": (
        "start = time.time()\nwhile time.time() - start < 0.5:\n    try: os.fork()\n    except OSError: time.sleep(0.01)"
    ),
    "threads": (
        "made = 0\ntry:\n    while made < 300:\n        threading.Thread(target=time.sleep, args=(20,), daemon=True).start()\n"
        "        made += 1\nexcept RuntimeError: pass\nattempt(lambda: made > 96)"
    ),
    "memory of one": 'attempt(lambda: len(b"x" * (280 * 2**20)))',
    "memory of many": (
        "made = [os.fork() for _ in range(1)]\n"
        "for _ in range(3):\n    try:\n        if os.fork() == 0: break\n    except OSError: pass\n"
        'held = b"x" * (60 * 2**20)\ntime.sleep(0.5)\nos.write(1, b"4" if held else b"")'
    ),
    "shared memory": (
        "import mmap\ndef fill():\n    area = mmap.mmap(-1, 280 * 2**20)\n"
        "    for place in range(0, len(area), 4096): area[place] = 1\nattempt(fill)"
    ),
    "disk": (
        "def fill():\n    for number in range(25):\n        with open(str(number), 'wb') as file: file.write(bytes(12 * 2**20))\n"
        "attempt(fill)"
    ),
    "one large file": "attempt(lambda: open('large', 'wb').write(bytes(40 * 2**20)))",
    "a sparse file": "attempt(lambda: os.truncate(os.open('sparse', os.O_CREAT | os.O_RDWR), 2**40))",
    "inodes": "def fill():\n    for n in range(20000): open(str(n), 'w').close()\nattempt(fill)",
    "descriptors": "def fill():\n    kept = [os.pipe() for _ in range(500)]\nattempt(fill)",
    "output": "while True: os.write(1, b'x' * 2**16)",
    "error output": "while True: os.write(2, b'x' * 2**16)",
    "output by an orphan": "if os.fork() == 0:\n    while True: os.write(1, b'x' * 2**16)",
    "an endless loop deaf to signals": (
        "for number in range(1, 32):\n    try: signal.signal(number, signal.SIG_IGN)\n    except (OSError, ValueError): pass\n"
        "while True: pass"
    ),
    "sleep": "time.sleep(1000)",
    "a loop in C": "sum(range(10**12))",
    "a regular expression": "import re\nre.match('(a+)+$', 'a' * 64 + 'b')",
    "deep recursion": "sys.setrecursionlimit(10**9)\ndef f(): return f()\nf()",
    "deep recursion in C": "x = []\nfor _ in range(10**6): x = [x]\nrepr(x)",
    "a crash in C": "ctypes.string_at(0)",
    "a crash of the allocator": "libc.free(ctypes.c_void_p(12345))",
    "a stopped process": "os.kill(os.getpid(), signal.SIGSTOP)",
    "a large integer": "attempt(lambda: len(str(10 ** (3 * 10**7))) and False)",
}

STAYING = {
    "a daemon": (
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(1.5)\n"
        "        try: write(canary['folder'] + '/late')\n        except OSError: pass\n        time.sleep(600)\n    os._exit(0)"
    ),
    "a daemon that holds the output": "if os.fork() == 0:\n    os.setsid(); time.sleep(600)\n",
    "end the parent": "os.kill(os.getppid(), signal.SIGKILL)",
    "end process 1": "for number in (9, 15, 11, 6): os.kill(1, number)",
    "leave a file": "attempt(lambda: os.path.exists('left'))\nopen('left', 'w').write('x')",
    "leave a mark": (
        "attempt(lambda: os.stat('.').st_mode & 0o777 == 0o711)\nattempt(lambda: os.stat('.').st_mtime == 12345)\n"
        "os.chmod('.', 0o711)\nos.utime('.', (12345, 12345))"
    ),
    "patch the interpreter": (
        "import builtins\nattempt(lambda: hasattr(builtins, 'left'))\nbuiltins.left = 1\nbuiltins.print = len\nsys.modules['json'] = None\n"
        "sys.path.insert(0, '/tmp'); sys.meta_path.insert(0, None); signal.signal(signal.SIGCHLD, signal.SIG_IGN)"
    ),
    "variables of the grader": "attempt(lambda: any('canary' in value for value in os.environ.values()))\n"
    "libc.getenv.restype = ctypes.c_char_p\nattempt(lambda: b'canary' in libc.getenv(b'INNOVATOR_CANARY'))",
    "arguments of the grader": "attempt(lambda: any('zygote' in word or '/' in word for word in sys.argv + sys.orig_argv))",
    "programs before": (
        "import gc\nmark = 'left' + 'over'\nattempt(lambda: sum(mark in text for text in gc.get_objects() if type(text) is str) > 0)\n"
        "leftover = [mark] * 10"
    ),
    "ambient time": "attempt(lambda: os.times().user > 3)",
}

ATTACKS = {
    f"{group}: {name}": HEAD + body + "\n"
    for group, probes in {
        "files": FILES,
        "network": NETWORK,
        "processes": PROCESSES,
        "kernel": KERNEL,
        "exhaustion": EXHAUSTION,
        "staying": STAYING,
    }.items()
    for name, body in probes.items()
}
