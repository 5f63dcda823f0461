// GNU readline as a line editor.

import CReadline

/// The terminal's line editor; one at a time, since readline has one global state.
package final class ReadlineEditor: LineEditor {
  private var completer: ((String, Int) -> Completion)?

  package init() {}

  package func readLine(prompt: String) -> LineInput {
    nnr_set_completer(
      { context, line, cursor, start in
        guard let context, let line else { return nil }
        let editor = Unmanaged<ReadlineEditor>.fromOpaque(context).takeUnretainedValue()
        guard let completion = editor.completer?(String(cString: line), Int(cursor)) else { return nil }
        start?.pointee = Int32(completion.start)
        return stringList(completion.candidates)
      }, Unmanaged.passUnretained(self).toOpaque())
    defer { nnr_set_completer(nil, nil) }
    var line: UnsafeMutablePointer<CChar>?
    let outcome = nnr_read(prompt, &line)
    defer { nnr_free(line) }
    switch (Int(outcome), line) {
    case (NNR_LINE, .some(let line)): return .line(String(cString: line))
    case (NNR_INTERRUPTED, _): return .interrupted
    default: return .end
    }
  }

  package func remember(_ input: String) { nnr_remember(input) }

  package func setCompleter(_ complete: @escaping (String, Int) -> Completion) { completer = complete }
}

/// A list of C strings that C will free.
private func stringList(_ strings: [String]) -> UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? {
  let list = nnr_list(Int32(strings.count))
  for (index, string) in strings.enumerated() { nnr_list_set(list, Int32(index), string) }
  return list
}
