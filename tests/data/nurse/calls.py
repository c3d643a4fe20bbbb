# Makes calls on files and sockets and prints how each went. The same lines are expected with and without a nurse.
import ctypes, errno, os, socket, stat, sys, threading

libc = ctypes.CDLL(None, use_errno=True)
os.chdir(sys.argv[1])


def told(label, work):
    try:
        result = work()
    except OSError as error:
        result = errno.errorcode[error.errno]
    print(label, result, flush=True)


def put(name, text="x", **how):
    with open(name, "w", **how) as file:
        file.write(text)


def mode(name):
    return oct(os.lstat(name).st_mode)


def flags(fd):
    import fcntl

    # That of O_NOFOLLOW is lost, because the nurse follows nothing anyway.
    ours = fcntl.fcntl(fd, fcntl.F_GETFL) & ~(0o100000 | os.O_NOFOLLOW)
    result = ours, fcntl.fcntl(fd, fcntl.F_GETFD)
    os.close(fd)
    return result


# Opening.
for umask in (0o22, 0o77, 0):
    os.umask(umask)
    told(f"create {umask:o}", lambda: put(f"new{umask}"))
    told("mode", lambda: mode(f"new{umask}"))
    told("mkdir", lambda: (os.mkdir(f"dir{umask}"), mode(f"dir{umask}")))
    told("mkfifo", lambda: (os.mkfifo(f"fifo{umask}"), mode(f"fifo{umask}")))
os.umask(0o22)
put("file", "content")
os.symlink("file", "link")
os.symlink("loop", "loop")
os.symlink("missing", "dangling")
os.symlink("dir18", "dirlink")
os.symlink("/proc/self/fd", "fds")
for name in ("file", "link", "loop", "dangling", "dir18", "dirlink", "dir18/", "file/", "file/x", "missing/x", "", "dir18/..", "dir18/../file", "./file", "//" + os.getcwd() + "//file", "dirlink/../file", "dir18/.", "file/.", "x" * 300, "x/" * 2100):
    for what, how in (
        ("rdonly", os.O_RDONLY), ("wronly", os.O_WRONLY), ("nofollow", os.O_NOFOLLOW), ("directory", os.O_DIRECTORY),
        ("excl", os.O_CREAT | os.O_EXCL | os.O_RDWR),
        ("append", os.O_WRONLY | os.O_APPEND), ("trunc", os.O_RDWR | os.O_TRUNC), ("nonblock", os.O_NONBLOCK),
    ):
        told(f"open {name[:20]!r} {what}", lambda: flags(os.open(name, how)))
    told(f"stat {name[:20]!r}", lambda: stat.S_IFMT(os.stat(name).st_mode))
    told(f"lstat {name[:20]!r}", lambda: stat.S_IFMT(os.lstat(name).st_mode))
    told(f"access {name[:20]!r}", lambda: [os.access(name, how) for how in (os.F_OK, os.R_OK, os.W_OK)])
    told(f"readlink {name[:20]!r}", lambda: os.readlink(name))
put("file", "content")
told("creates over a dangling link", lambda: (put("dangling"), os.listdir(".").count("missing")))
told("tmpfile", lambda: flags(os.open(".", os.O_TMPFILE | os.O_RDWR, 0o600)))
told("tmpfile of nothing", lambda: os.open("file", os.O_TMPFILE | os.O_RDWR))
told("inheritable", lambda: os.get_inheritable(os.open("file", os.O_RDONLY)))
told("open of a folder for writing", lambda: os.open("dir18", os.O_WRONLY))
told("create with a slash", lambda: os.open("nothing/", os.O_CREAT | os.O_WRONLY))

# Relative to descriptors.
folder = os.open("dir18", os.O_RDONLY)
told("openat", lambda: os.close(os.open("../file", os.O_RDONLY, dir_fd=folder)))
told("openat of a file", lambda: os.open("x", os.O_RDONLY, dir_fd=os.open("file", os.O_RDONLY)))
told("openat of nothing", lambda: os.open("x", os.O_RDONLY, dir_fd=999))
told("fstatat empty", lambda: os.fstat(folder).st_nlink)
told("stat dir_fd", lambda: os.stat("../file", dir_fd=folder).st_size)

# The process itself.
told("self", lambda: os.readlink("/proc/self") == str(os.getpid()))
told("thread-self", lambda: os.readlink("/proc/thread-self") == f"{os.getpid()}/task/{threading.get_native_id()}")
told("status", lambda: f"Pid:\t{os.getpid()}\n" in open("/proc/self/status").read())
told("environ", lambda: b"NURSE_TEST=target" in open("/proc/self/environ", "rb").read())
told("cwd", lambda: os.readlink("/proc/self/cwd") == os.getcwd())
told("cwd as a way", lambda: open("/proc/self/cwd/file").read())
told("thread", lambda: open("/proc/thread-self/comm").read())
opened = os.open("file", os.O_RDONLY)
told("dev fd", lambda: open(f"/dev/fd/{opened}").read())
told("over a link to fds", lambda: open(f"fds/{opened}").read())
told("fd link", lambda: os.path.basename(os.readlink(f"/proc/self/fd/{opened}")))
reading, writing = os.pipe()
os.write(writing, b"piped")
told("a pipe again", lambda: os.read(os.open(f"/proc/self/fd/{reading}", os.O_RDONLY), 9))
other = threading.Thread(target=lambda: told("in a thread", lambda: os.readlink("/proc/thread-self").split("/")[0] == str(os.getpid())))
other.start()
other.join()

# Entries.
told("mkdir again", lambda: os.mkdir("dir18"))
told("mkdir over a dangling link", lambda: os.mkdir("loop"))
told("mkdir slash", lambda: (os.mkdir("slash/"), os.rmdir("slash/")))
told("mkdir dot", lambda: os.mkdir("."))
told("rmdir dot", lambda: os.rmdir("."))
told("rmdir of a file", lambda: os.rmdir("file"))
told("rmdir full", lambda: (put("dir63/x"), os.rmdir("dir63")))
told("unlink of a folder", lambda: os.unlink("dir18"))
told("unlink slash", lambda: os.unlink("file/"))
told("rename", lambda: (os.rename("dir63/x", "y"), os.rename("y", "dir63/y"), os.listdir("dir63")))
told("rename missing", lambda: os.rename("nothing", "z"))
told("rename folder", lambda: (os.rename("dir63", "moved"), os.rename("moved", "dir63")))
told("rename into itself", lambda: os.rename("dir63", "dir63/z"))
told("link", lambda: (os.link("file", "hard"), os.stat("hard").st_nlink))
told("link of a link", lambda: (os.link("link", "hardlink", follow_symlinks=False), os.readlink("hardlink")))
told("link of a folder", lambda: os.link("dir18", "no"))
told("symlink again", lambda: os.symlink("a", "link"))
told("unlink", lambda: (os.unlink("hard"), os.unlink("hardlink")))

# Objects.
told("chmod", lambda: (os.chmod("file", 0o640), mode("file")))
told("fchmod", lambda: (os.chmod(opened, 0o644), mode("file")))
told("chown", lambda: os.chown("file", -1, os.getgid()))
told("lchown", lambda: os.lchown("link", os.getuid(), -1))
told("utime", lambda: (os.utime("file", (1, 2)), os.stat("file").st_mtime))
told("utime ns", lambda: (os.utime("link", ns=(5, 1234567), follow_symlinks=False), os.lstat("link").st_mtime_ns))
told("utime now", lambda: os.utime("file"))
told("futimens", lambda: (os.utime(opened, (3, 4)), os.stat("file").st_mtime))
told("truncate", lambda: (os.truncate("file", 3), os.stat("file").st_size))
told("truncate of a folder", lambda: os.truncate("dir18", 3))
told("ftruncate", lambda: os.ftruncate(opened, 0))
told("statvfs", lambda: os.statvfs("file").f_bsize == os.statvfs(".").f_bsize)
told("setxattr", lambda: (os.setxattr("file", "user.a", b"12"), os.getxattr("file", "user.a"), os.listxattr("file")))
told("fsetxattr", lambda: (os.setxattr(opened, "user.b", b""), os.getxattr(opened, "user.b")))
told("getxattr missing", lambda: os.getxattr("file", "user.no"))
told("removexattr", lambda: (os.removexattr("file", "user.a"), os.removexattr("file", "user.a")))
told("bad pointer", lambda: (libc.open(ctypes.c_void_p(8), 0), ctypes.get_errno()))
told("bad buffer", lambda: (libc.syscall(4, b"file", ctypes.c_void_p(8)), ctypes.get_errno()))

# A pipe with a name waits for its other side.
def write_late():
    with open("fifo18", "w") as pipe:
        pipe.write("through")


writer = threading.Thread(target=write_late)
writer.start()
told("fifo", lambda: open("fifo18").read())
writer.join()
told("fifo nonblocking writer", lambda: os.open("fifo18", os.O_WRONLY | os.O_NONBLOCK))

# openat2.
class How(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


def openat2(name, resolve, how=os.O_RDONLY, size=24, start=folder):
    what = How(how, 0, resolve)
    fd = libc.syscall(437, start, name.encode(), ctypes.byref(what), size)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "")
    name = os.readlink(f"/proc/self/fd/{fd}")
    os.close(fd)
    return os.path.basename(name)


put("dir18/inner")
os.symlink("../file", "dir18/out")
os.symlink("inner", "dir18/in")
os.symlink("/inner", "dir18/root")
for resolve in (0, 1, 2, 4, 8, 16, 8 | 4, 0x18, 0x400):
    for name in ("inner", "out", "in", "root", "..", "../file", ".", "/etc", "../" * 9 + "inner", "../dir18/inner"):
        if resolve & 1 and name == "/etc":
            continue
        told(f"openat2 {resolve} {name}", lambda: openat2(name, resolve))
told("openat2 magic", lambda: openat2(f"/proc/self/fd/{opened}", 2))
told("openat2 small", lambda: openat2("inner", 0, size=8))
told("openat2 flags", lambda: openat2("inner", 0, how=1 << 33))
told("openat2 mode", lambda: openat2("inner", 0, how=0x10000000))

# Unix sockets.
server = socket.socket(socket.AF_UNIX)
told("bind", lambda: (server.bind("socket"), mode("socket")))
told("bind again", lambda: socket.socket(socket.AF_UNIX).bind("socket"))
told("listen", lambda: server.listen())
client = socket.socket(socket.AF_UNIX)
told("connect", lambda: client.connect("socket"))
peer = server.accept()[0]
told("sendmsg", lambda: socket.send_fds(client, [b"take"], [opened, folder]))
told("recvmsg", lambda: (lambda got: (got[0], len(got[1])))(socket.recv_fds(peer, 9, 9)))
told("large", lambda: (client.setblocking(False), client.sendmsg([b"x" * 100, b"y" * 50])))
told("large got", lambda: len(peer.recv(999)))
told("connect to a file", lambda: socket.socket(socket.AF_UNIX).connect("file"))
told("connect to nothing", lambda: socket.socket(socket.AF_UNIX).connect("nothing"))
told("open of a socket", lambda: os.open("socket", os.O_RDONLY))
datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
told("datagram bind", lambda: datagrams.bind("datagrams"))
told("datagram", lambda: (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"hello", "datagrams"), datagrams.recv(9)))
abstract = socket.socket(socket.AF_UNIX)
told("abstract", lambda: (abstract.bind(f"\0callsieve-{os.getpid()}"), abstract.listen(), socket.socket(socket.AF_UNIX).connect(f"\0callsieve-{os.getpid()}")))

# IP.
for family, here in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
    tcp = socket.socket(family)
    told("tcp bind", lambda: (tcp.bind((here, 0)), tcp.listen()))
    told("tcp connect", lambda: socket.create_connection(tcp.getsockname()[:2]).getpeername()[0])
    udp = socket.socket(family, socket.SOCK_DGRAM)
    told("udp bind", lambda: udp.bind((here, 0)))
    told("udp", lambda: (socket.socket(family, socket.SOCK_DGRAM).sendto(b"hello", udp.getsockname()), udp.recv(9)))
    told("udp sendmsg", lambda: (socket.socket(family, socket.SOCK_DGRAM).sendmsg([b"a", b"b"], [], 0, udp.getsockname()), udp.recv(9)))
    tcp.close()
told("bad descriptor", lambda: (libc.syscall(42, 999, b"", 0), ctypes.get_errno()))
told("no socket", lambda: (libc.syscall(42, opened, b"\1\0x\0", 4), ctypes.get_errno()))
