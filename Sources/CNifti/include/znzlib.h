// nifti2_io.h includes this header by angle brackets; Debian keeps it one folder deeper.
#include <nifti/znzlib.h>
