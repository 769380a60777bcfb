/* What CMake finds out for HDF5 2.2.0 on Linux with glibc or musl, on x86-64 and aarch64: the names that the library
   reads, as set by src/H5pubconf.h.in. For another version, compare that file and the one that CMake makes of it. */
#ifndef H5pubconf_H
#define H5pubconf_H

#if !defined(__linux__) || !defined(__LP64__)
#error "these answers are for 64-bit Linux"
#endif

#define H5_VERSION "2.2.0"

/* The features and settings */
#define H5_NO_DEPRECATED_SYMBOLS 1
#define H5_HAVE_FILTER_DEFLATE 1
#define H5_HAVE_ZLIB_H 1
#define H5_HAVE_THREADS 1
#define H5_USE_FILE_LOCKING 1
#define H5_IGNORE_DISABLED_FILE_LOCKS 1
#define H5_WANT_DATA_ACCURACY 1
#define H5_WANT_DCONV_EXCEPTION 1
/* HDF5's default; CMake puts the directory of the build before it. */
#define H5_DEFAULT_PLUGINDIR "/usr/local/hdf5/lib/plugin"

/* The compiler: C11 */
#define H5_HAVE_ATTRIBUTE 1
#define H5_HAVE_C99_COMPLEX_NUMBERS 1
#define H5_HAVE_COMPLEX_NUMBERS 1
#define H5_HAVE_STDATOMIC_H 1

/* Headers */
#define H5_HAVE_ARPA_INET_H 1
#define H5_HAVE_DIRENT_H 1
#define H5_HAVE_DLFCN_H 1
#define H5_HAVE_NETDB_H 1
#define H5_HAVE_NETINET_IN_H 1
#define H5_HAVE_PTHREAD_H 1
#define H5_HAVE_PWD_H 1
#define H5_HAVE_SYS_FILE_H 1
#define H5_HAVE_SYS_IOCTL_H 1
#define H5_HAVE_SYS_RESOURCE_H 1
#define H5_HAVE_SYS_SOCKET_H 1
#define H5_HAVE_SYS_STAT_H 1
#define H5_HAVE_SYS_TIME_H 1
#define H5_HAVE_UNISTD_H 1

/* Functions and fields; qsort_r is in musl since 1.2.3 */
#define H5_HAVE_CLOCK_GETTIME 1
#define H5_HAVE_FCNTL 1
#define H5_HAVE_FLOCK 1
#define H5_HAVE_GETRUSAGE 1
#define H5_HAVE_GETTIMEOFDAY 1
#define H5_HAVE_PREADWRITE 1
#define H5_HAVE_QSORT_REENTRANT 1
#define H5_HAVE_STRCASESTR 1
#define H5_HAVE_SYMLINK 1
#define H5_HAVE_TIMEZONE 1
#define H5_HAVE_TM_GMTOFF 1
#define H5_HAVE_VASPRINTF 1
#define H5_HAVE_WAITPID 1

/* Sizes in bytes */
#define H5_SIZEOF_INT 4
#define H5_SIZEOF_INT32_T 4
#define H5_SIZEOF_INT64_T 8
#define H5_SIZEOF_INT8_T 1
#define H5_SIZEOF_LONG 8
#define H5_SIZEOF_LONG_LONG 8
#define H5_SIZEOF_OFF_T 8
#define H5_SIZEOF_PTRDIFF_T 8
#define H5_SIZEOF_SHORT 2
#define H5_SIZEOF_SIZE_T 8
#define H5_SIZEOF_SSIZE_T 8
#define H5_SIZEOF_UINT16_T 2
#define H5_SIZEOF_UINT32_T 4
#define H5_SIZEOF_UINT64_T 8
#define H5_SIZEOF_UINT8_T 1
#define H5_SIZEOF_UNSIGNED 4

#endif
