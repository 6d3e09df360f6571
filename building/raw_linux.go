package building

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// rawMode takes echo and line editing off a pty, so that bytes sent before an
// agent opened it do not come back as an echo.
func rawMode(tty *os.File) error {
	conn, err := tty.SyscallConn() // Fd would set the file to blocking
	if err != nil {
		return err
	}
	var ioctl error
	err = conn.Control(func(fd uintptr) {
		var t *unix.Termios
		if t, ioctl = unix.IoctlGetTermios(int(fd), unix.TCGETS); ioctl != nil {
			return
		}
		t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
		t.Cflag = unix.CS8 | unix.CREAD | unix.CLOCAL
		t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
		ioctl = unix.IoctlSetTermios(int(fd), unix.TCSETS, t)
	})
	if err != nil {
		return err
	}
	return ioctl
}

// withDeadlines gives a pty's master back as a file that Go can wait for with
// a deadline: the pty library leaves it blocking, and a read of it could then
// be ended by nothing. The file that it was is closed.
func withDeadlines(master *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(master.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return master, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return master, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), master.Name()), master.Close()
}
