// Records what a process does to the files below a directory, in order and with data. Loaded with LD_PRELOAD by
// tests/slow/power-loss.ts; log.ts reads what it writes.
//
// RECORD_ROOT is the directory, RECORD_LOG the log. Each call is one record, appended by one write when
// the call has returned; a sync also has one from before it began: what it covers was recorded before that. Records
// of several threads and processes stand in an order in which they may have happened.
//
// What changes a file below the root in a way that is not written down here (fallocate, a shared mapping to write by)
// becomes a record of its own, and the program gives up. The index of a write-ahead log (`-shm`) is left out: SQLite makes it anew.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { CREATE = 1, WRITE, TRUNCATE, SYNC_BEGIN, SYNC_END, RENAME, UNLINK, MKDIR, RMDIR, LINK, UNKNOWN };

struct head {
  uint32_t bytes; // of the record, this head included
  uint32_t kind;
  uint64_t inode;
  uint64_t offset;
  uint32_t thread; // the two records of a sync have the same
  uint32_t path_bytes;
};

#define FDS 65536
#define PARTS 1024

static int log_fd = -1;
static char root[PATH_MAX];
static size_t root_length;
// Paths of the open files below the root, and their inodes; NULL for any other.
static char *paths[FDS];
static ino_t inodes[FDS];

__attribute__((constructor)) static void begin(void) {
  const char *directory = getenv("RECORD_ROOT");
  const char *file = getenv("RECORD_LOG");
  if (directory == NULL || file == NULL) return;
  root_length = strlen(directory);
  memcpy(root, directory, root_length + 1);
  log_fd = syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_APPEND | O_CLOEXEC, 0);
  if (log_fd < 0) abort();
}

static void record(enum kind kind, ino_t inode, off_t offset, const char *path, const struct iovec *data,
                   int parts, size_t length) {
  if (log_fd < 0) return;
  int error = errno;
  struct head head = {0, kind, inode, (uint64_t)offset, (uint32_t)syscall(SYS_gettid), (uint32_t)strlen(path)};
  head.bytes = (uint32_t)(sizeof head + head.path_bytes + length);
  struct iovec all[PARTS] = {{&head, sizeof head}, {(void *)path, head.path_bytes}};
  int count = 2;
  for (int i = 0; i < parts && length > 0; i++) {
    if (count == PARTS) abort();
    size_t taken = data[i].iov_len < length ? data[i].iov_len : length;
    all[count++] = (struct iovec){data[i].iov_base, taken};
    length -= taken;
  }
  if (syscall(SYS_writev, log_fd, all, count) != (long)head.bytes) abort();
  errno = error;
}

static void note(enum kind kind, ino_t inode, off_t offset, const char *path) {
  record(kind, inode, offset, path, NULL, 0, 0);
}

static void unknown(const char *call, const char *path) {
  struct iovec name = {(void *)call, strlen(call)};
  record(UNKNOWN, 0, 0, path, &name, 1, name.iov_len);
}

static int is_below_root(const char *path) {
  size_t length = strlen(path);
  if (log_fd < 0 || strncmp(path, root, root_length) != 0) return 0;
  if (path[root_length] != '/' && path[root_length] != 0) return 0;
  return length < 4 || strcmp(path + length - 4, "-shm") != 0;
}

// The path relative to a directory that is open; into `out`.
static const char *absolute(int directory, const char *path, char *out) {
  if (path[0] == '/') return path;
  char link[64];
  if (directory == AT_FDCWD) strcpy(link, "/proc/self/cwd");
  else snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
  ssize_t length = readlink(link, out, PATH_MAX - 1);
  if (length < 0) return path;
  snprintf(out + length, PATH_MAX - length, "/%s", path);
  return out;
}

// The path of an open file below the root. The descriptor may have been closed by a plain system call and be another's.
static const char *path_of(int fd) {
  if (fd < 0 || fd >= FDS || paths[fd] == NULL) return NULL;
  struct stat now;
  if (fstat(fd, &now) == 0 && now.st_ino == inodes[fd] && !S_ISSOCK(now.st_mode)) return paths[fd];
  paths[fd] = NULL;
  return NULL;
}

static void opened(int fd, const char *path, int flags, int existed) {
  struct stat now;
  if (fd < 0 || fd >= FDS) return;
  paths[fd] = NULL;
  if (!is_below_root(path) || fstat(fd, &now) != 0) return;
  inodes[fd] = now.st_ino;
  paths[fd] = strdup(path);
  if ((flags & O_CREAT) && !existed) note(CREATE, now.st_ino, 0, path);
  if ((flags & O_TRUNC) && existed) note(TRUNCATE, now.st_ino, 0, path);
  if (flags & O_DSYNC) unknown("open with O_DSYNC", path);
}

static int is_there(const char *path) {
  struct stat found;
  return lstat(path, &found) == 0;
}

static int open_at(int directory, const char *path, int flags, mode_t mode) {
  char buffer[PATH_MAX];
  const char *full = absolute(directory, path, buffer);
  int existed = !(flags & (O_CREAT | O_TRUNC)) || is_there(full);
  int fd = syscall(SYS_openat, directory, path, flags, mode);
  opened(fd, full, flags, existed);
  return fd;
}

#define MODE_OF(flags, mode)                                      \
  mode_t mode = 0;                                                \
  if ((flags) & (O_CREAT | O_TMPFILE)) {                          \
    va_list list;                                                 \
    va_start(list, flags);                                        \
    mode = va_arg(list, mode_t);                                  \
    va_end(list);                                                 \
  }

int open(const char *path, int flags, ...) {
  MODE_OF(flags, mode)
  return open_at(AT_FDCWD, path, flags, mode);
}
int open64(const char *path, int flags, ...) {
  MODE_OF(flags, mode)
  return open_at(AT_FDCWD, path, flags | O_LARGEFILE, mode);
}
int openat(int directory, const char *path, int flags, ...) {
  MODE_OF(flags, mode)
  return open_at(directory, path, flags, mode);
}
int openat64(int directory, const char *path, int flags, ...) {
  MODE_OF(flags, mode)
  return open_at(directory, path, flags | O_LARGEFILE, mode);
}
int creat(const char *path, mode_t mode) {
  return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

int close(int fd) {
  if (fd >= 0 && fd < FDS) paths[fd] = NULL;
  return syscall(SYS_close, fd);
}

// At an offset; -1: where the file stands, which is behind what was written.
static ssize_t wrote(int fd, off_t offset, const struct iovec *data, int parts, ssize_t written) {
  const char *path = written > 0 ? path_of(fd) : NULL;
  if (path == NULL) return written;
  if (offset < 0 || (fcntl(fd, F_GETFL) & O_APPEND)) offset = lseek(fd, 0, SEEK_CUR) - written;
  record(WRITE, inodes[fd], offset, path, data, parts, (size_t)written);
  return written;
}

ssize_t write(int fd, const void *bytes, size_t length) {
  struct iovec data = {(void *)bytes, length};
  return wrote(fd, -1, &data, 1, syscall(SYS_write, fd, bytes, length));
}
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
  struct iovec data = {(void *)bytes, length};
  return wrote(fd, offset, &data, 1, syscall(SYS_pwrite64, fd, bytes, length, offset));
}
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
  return pwrite(fd, bytes, length, offset);
}
ssize_t writev(int fd, const struct iovec *data, int parts) {
  return wrote(fd, -1, data, parts, syscall(SYS_writev, fd, data, parts));
}
ssize_t pwritev(int fd, const struct iovec *data, int parts, off_t offset) {
  return wrote(fd, offset, data, parts, syscall(SYS_pwritev, fd, data, parts, offset, 0));
}
ssize_t pwritev64(int fd, const struct iovec *data, int parts, off64_t offset) {
  return pwritev(fd, data, parts, offset);
}

int ftruncate(int fd, off_t length) {
  int done = syscall(SYS_ftruncate, fd, length);
  const char *path = done == 0 ? path_of(fd) : NULL;
  if (path != NULL) note(TRUNCATE, inodes[fd], length, path);
  return done;
}
int ftruncate64(int fd, off64_t length) {
  return ftruncate(fd, length);
}

static int sync_by(long call, int fd) {
  const char *path = path_of(fd);
  if (path == NULL) return syscall(call, fd);
  ino_t inode = inodes[fd];
  note(SYNC_BEGIN, inode, 0, path);
  int done = syscall(call, fd);
  if (done == 0) note(SYNC_END, inode, 0, path);
  return done;
}
int fsync(int fd) {
  return sync_by(SYS_fsync, fd);
}
int fdatasync(int fd) {
  return sync_by(SYS_fdatasync, fd);
}

int renameat2(int from_directory, const char *from, int to_directory, const char *to, unsigned flags) {
  int done = syscall(SYS_renameat2, from_directory, from, to_directory, to, flags);
  char from_buffer[PATH_MAX], to_buffer[PATH_MAX];
  const char *source = absolute(from_directory, from, from_buffer);
  const char *target = absolute(to_directory, to, to_buffer);
  if (done != 0 || (!is_below_root(source) && !is_below_root(target))) return done;
  if (flags != 0) unknown("renameat2 with flags", source);
  struct iovec data = {(void *)target, strlen(target)};
  record(RENAME, 0, 0, source, &data, 1, data.iov_len);
  return done;
}
int renameat(int from_directory, const char *from, int to_directory, const char *to) {
  return renameat2(from_directory, from, to_directory, to, 0);
}
int rename(const char *from, const char *to) {
  return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlinkat(int directory, const char *path, int flags) {
  char buffer[PATH_MAX];
  const char *full = absolute(directory, path, buffer);
  int done = syscall(SYS_unlinkat, directory, path, flags);
  if (done == 0 && is_below_root(full)) note(flags & AT_REMOVEDIR ? RMDIR : UNLINK, 0, 0, full);
  return done;
}
int unlink(const char *path) {
  return unlinkat(AT_FDCWD, path, 0);
}
int rmdir(const char *path) {
  return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}
int remove(const char *path) {
  int done = unlinkat(AT_FDCWD, path, 0);
  return done != 0 && errno == EISDIR ? unlinkat(AT_FDCWD, path, AT_REMOVEDIR) : done;
}

int mkdirat(int directory, const char *path, mode_t mode) {
  char buffer[PATH_MAX];
  const char *full = absolute(directory, path, buffer);
  int done = syscall(SYS_mkdirat, directory, path, mode);
  if (done == 0 && is_below_root(full)) note(MKDIR, 0, 0, full);
  return done;
}
int mkdir(const char *path, mode_t mode) {
  return mkdirat(AT_FDCWD, path, mode);
}
int link(const char *from, const char *to) {
  char source[PATH_MAX], target[PATH_MAX];
  const char *full = absolute(AT_FDCWD, from, source);
  const char *name = absolute(AT_FDCWD, to, target);
  int done = syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
  if (done != 0 || !is_below_root(name)) return done;
  struct iovec data = {(void *)name, strlen(name)};
  record(LINK, 0, 0, full, &data, 1, data.iov_len);
  return done;
}

// What the program has no model of.

static void refuse(const char *path, const char *call) {
  if (path != NULL) unknown(call, path);
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
  if (fd >= 0 && (protection & PROT_WRITE) && (flags & MAP_SHARED)) refuse(path_of(fd), "mmap to write by");
  return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
}
void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t offset) {
  return mmap(address, length, protection, flags, fd, offset);
}
int symlink(const char *from, const char *to) {
  if (is_below_root(to)) unknown("symlink", to);
  return syscall(SYS_symlinkat, from, AT_FDCWD, to);
}
int truncate(const char *path, off_t length) {
  if (is_below_root(path)) unknown("truncate", path);
  return syscall(SYS_truncate, path, length);
}
int fallocate(int fd, int mode, off_t offset, off_t length) {
  refuse(path_of(fd), "fallocate");
  return syscall(SYS_fallocate, fd, mode, offset, length);
}
int posix_fallocate(int fd, off_t offset, off_t length) {
  refuse(path_of(fd), "posix_fallocate");
  return syscall(SYS_fallocate, fd, 0, offset, length) == 0 ? 0 : errno;
}
ssize_t copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t length, unsigned flags) {
  refuse(path_of(to), "copy_file_range");
  return syscall(SYS_copy_file_range, from, from_at, to, to_at, length, flags);
}
ssize_t sendfile(int to, int from, off_t *offset, size_t length) {
  refuse(path_of(to), "sendfile");
  return syscall(SYS_sendfile, to, from, offset, length);
}
ssize_t sendfile64(int to, int from, off64_t *offset, size_t length) {
  return sendfile(to, from, offset, length);
}
