// How long the threads of libgomp's pool spin before they sleep. libgomp reads this from the environment when it is
// loaded, before main, so a program that wants another value has to start itself again.

import Glibc

/// Starts the program again with short spinning, unless the environment says how to wait.
///
/// By default the threads spin for milliseconds after every parallel loop. On a machine whose cores are shared, with the
/// program's own loader threads or with others, that multiplies the time of everything (measured: 44 s against 9 s for a
/// prediction beside another busy process). Call it first in `main`.
package func shortenThreadSpinning() {
  let variables = ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY"]
  guard variables.allSatisfy({ getenv($0) == nil }) else { return }
  setenv("GOMP_SPINCOUNT", "20000", 1)
  // On failure the program simply goes on with the default.
  execv("/proc/self/exe", CommandLine.unsafeArgv)
}
