// Ctrl-C: the first asks running work to stop at its next safe point, the second quits at once.

import Foundation
import Reporting

/// The process's answer to SIGINT.
enum Interrupt {
  private static let flag = CancellationFlag()
  private static let message: StaticString =
    "\nlunette: stopping at the next safe point; Ctrl-C again quits at once\n"

  /// Starts to listen, and returns the flag that Ctrl-C sets.
  static func install() -> CancellationFlag {
    // The handler may do little: both constants exist before it can run, and it calls only write and _exit.
    let installed = flag
    _ = message
    signal(SIGINT) { _ in
      if Interrupt.flag.isCancelled { _exit(130) }
      Interrupt.flag.cancel()
      _ = write(STDERR_FILENO, Interrupt.message.utf8Start, Interrupt.message.utf8CodeUnitCount)
    }
    // A parent that blocks SIGINT hands its mask on.
    var signals = sigset_t()
    sigemptyset(&signals)
    sigaddset(&signals, SIGINT)
    pthread_sigmask(SIG_UNBLOCK, &signals, nil)
    return installed
  }
}
