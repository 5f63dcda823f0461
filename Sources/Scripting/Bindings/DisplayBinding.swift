// `lunette.display`: a value as a picture, in the middle of a cell.

import Foundation
import LuaHost
import Reporting

extension Binding {
  static let display = Binding(
    FunctionSchema(
      "lunette.display",
      "Shows a picture in a notebook, as often as a cell wants; elsewhere it says what it would show.",
      details: "A cell's last value is shown by itself.",
      parameters: [
        .required(
          "value", .any,
          "a volume, a prediction or a run; or the path of a picture, .png or .svg, such as :show gives")
      ], returns: "nothing",
      example: "lunette.display(assert(lunette.volume(\"image.nii.gz\")))")
  ) { arguments in
    let value = arguments["value"]
    let figure: NotebookFigure? =
      if let object = value.object as? any DrawableObject {
        try object.figure()
      } else if let path = value.string {
        try NotebookFigure(contentsOf: fileURL(path))
      } else {
        nil
      }
    guard let figure else {
      throw Diagnostic(
        "this cannot be shown as a picture",
        expected: "a volume, a prediction, a run, or the path of a .png or .svg",
        found: "a \((value.object as? any ScriptObject)?.luaTypeName ?? value.typeName)")
    }
    let registry = ScriptRegistry.of(arguments.state)
    if let show = registry.show {
      show(figure)
    } else {
      let text = (value.object as? any ScriptObject)?.luaDescription ?? value.string ?? ""
      registry.write("[picture: \(text)]\n")
    }
    return []
  }
}
