// `lunette.tensor`: arrays of numbers in scripts, read from and written to .npy files. A tensor that a network made also
// knows the tape behind it, through which a loss sends gradients back.

import Archives
import Foundation
import LuaHost
import Networks
import Reporting
import Tensors

/// An array of numbers in scripts.
final class TensorObject: ScriptObject {
  let array: NDArray<Float>
  /// Where the tensor came from, when a network computed it and remembers how.
  let origin: NetworkOutput?

  init(_ array: NDArray<Float>, origin: NetworkOutput? = nil) {
    self.array = array
    self.origin = origin
  }

  var luaForeignByteCount: Int { 4 * array.count + (origin?.byteCount ?? 0) }

  var luaDescription: String {
    let shape = "tensor [\(array.shape.map(String.init).joined(separator: ", "))]"
    if array.count <= 8 {
      return shape + " { " + array.elements.map { "\($0)" }.joined(separator: ", ") + " }"
    }
    let (low, high) = array.extremes
    return shape + " from \(low) to \(high), mean \(Float(array.mean))"
  }

  func luaLength() throws -> LuaValue { .integer(array.shape.first ?? 1) }

  func luaOperate(
    _ operation: LuaOperator, _ left: LuaValue, _ right: LuaValue, in state: LuaState
  ) throws -> LuaValue? {
    let combine: (Float, Float) -> Float
    switch operation {
    case .add: combine = { $0 + $1 }
    case .subtract: combine = { $0 - $1 }
    case .multiply: combine = { $0 * $1 }
    case .divide: combine = { $0 / $1 }
    case .power: combine = { Float(Foundation.pow(Double($0), Double($1))) }
    case .negate: return .object(TensorObject(array.map { -$0 }))
    default: return nil
    }
    return try .object(TensorObject(Self.combine(left, right, combine)))
  }

  private static func combine(
    _ left: LuaValue, _ right: LuaValue, _ operation: (Float, Float) -> Float
  ) throws -> NDArray<Float> {
    if let a = left.object as? TensorObject, let b = right.number.map({ Float($0) }) {
      return a.array.map { operation($0, b) }
    }
    if let a = left.number.map({ Float($0) }), let b = right.object as? TensorObject {
      return b.array.map { operation(a, $0) }
    }
    guard let a = (left.object as? TensorObject)?.array, let b = (right.object as? TensorObject)?.array else {
      throw Diagnostic(
        "a tensor combines with tensors and numbers", found: "\(left.typeName) and \(right.typeName)")
    }
    guard a.shape == b.shape else {
      throw Diagnostic("the shapes of two tensors differ", expected: "\(a.shape)", found: "\(b.shape)")
    }
    return NDArray(shape: a.shape, elements: zip(a.elements, b.elements).map(operation))
  }

  static let schema = ObjectSchema(
    "tensor", "An array of numbers.",
    example: "local t = lunette.tensor{ {1, 2}, {3, 4} }\nprint((t * 2 + 1):sum(), t.shape[1])",
    properties: [
      .field("shape", .list(.integer), "the extents, slowest axis first") { (it: TensorObject) in
        .array(it.array.shape)
      },
      .field("count", .integer, "how many numbers it holds") { (it: TensorObject) in .integer(it.array.count)
      },
    ],
    methods: [
      reduction("sum", "The sum of all numbers.") { $0.mean * Double($0.count) },
      reduction("mean", "The mean of all numbers.") { $0.mean },
      reduction("min", "The smallest number.") { Double($0.extremes.0) },
      reduction("max", "The largest number.") { Double($0.extremes.1) },
      .method(
        FunctionSchema(
          "tensor:item", "The number of a tensor that holds one.", returns: "a number",
          example: "print(lunette.tensor{ 5 }:item())")
      ) { (it: TensorObject, _) in
        guard it.array.count == 1 else {
          throw Diagnostic("the tensor holds more than one number", found: "\(it.array.shape)")
        }
        return .number(Double(it.array.elements[0]))
      },
      .method(
        FunctionSchema(
          "tensor:at", "One number by its position, counted from 1 along each axis.",
          parameters: [.required("index", .list(.integer), "one position per axis")], returns: "a number",
          example: "print(lunette.tensor{ {1, 2}, {3, 4} }:at{ 2, 1 })")
      ) { (it: TensorObject, arguments) in
        let index = try arguments.integers("index").map { $0 - 1 }
        guard index.count == it.array.shape.count,
          zip(index, it.array.shape).allSatisfy({ $0 >= 0 && $0 < $1 })
        else {
          throw Diagnostic("the position is outside the tensor", expected: "one within \(it.array.shape)")
        }
        return .number(Double(it.array.elements[it.array.offset(of: index)]))
      },
      .method(
        FunctionSchema(
          "tensor:reshape", "The same numbers under another shape.",
          parameters: [.required("shape", .list(.integer), "the new extents")], returns: "a tensor",
          example: "local t = lunette.tensor{ 1, 2, 3, 4 }:reshape{ 2, 2 }")
      ) { (it: TensorObject, arguments) in
        let shape = try arguments.integers("shape")
        guard shape.allSatisfy({ $0 >= 0 }),
          shape.reduce(1, { $0.multipliedReportingOverflow(by: $1).partialValue })
            == it.array.count
        else {
          throw Diagnostic("the shape does not fit", expected: "\(it.array.count) numbers", found: "\(shape)")
        }
        return .object(TensorObject(it.array.reshaped(shape)))
      },
      .method(
        FunctionSchema(
          "tensor:table", "The numbers as nested tables.", returns: "a table",
          example: "local t = lunette.tensor{ {1, 2}, {3, 4} }:table()\nprint(t[2][1])")
      ) { (it: TensorObject, _) in nested(it.array.elements[...], it.array.shape[...]) },
      .method(
        FunctionSchema(
          "tensor:save", "Writes the tensor to a .npy file.",
          parameters: [.required("path", .path, "the file")], returns: "the path",
          example: "lunette.tensor{ 1, 2 }:save(\"out.npy\")")
      ) { (it: TensorObject, arguments) in
        try writeNPY(it.array, to: fileURL(arguments.string("path")))
        return arguments["path"]
      },
    ])

  private static func reduction(
    _ name: String, _ summary: String, _ value: @escaping @Sendable (NDArray<Float>) -> Double
  ) -> Binding {
    .method(
      FunctionSchema(
        "tensor:\(name)", summary, returns: "a number", example: "print(lunette.tensor{ 1, 2, 3 }:\(name)())")
    ) { (it: TensorObject, _) in .number(value(it.array)) }
  }

  private static func nested(_ elements: ArraySlice<Float>, _ shape: ArraySlice<Int>) -> LuaValue {
    guard let extent = shape.first else { return elements.first.map { .number(Double($0)) } ?? .nil }
    let inner = shape.dropFirst()
    let step = inner.reduce(1, *)
    return .array(
      (0..<extent).map { i in
        let start = elements.startIndex + i * step
        return nested(elements[start..<start + step], inner)
      })
  }
}

extension NDArray<Float> {
  /// The mean in double precision.
  fileprivate var mean: Double { elements.reduce(0.0) { $0 + Double($1) } / Double(Swift.max(count, 1)) }

  fileprivate var extremes: (Float, Float) {
    elements.reduce((Float.infinity, -Float.infinity)) { (Swift.min($0.0, $1), Swift.max($0.1, $1)) }
  }
}

extension Binding {
  static let tensor = Binding(
    FunctionSchema(
      "lunette.tensor", "Makes a tensor from numbers in nested tables.",
      parameters: [.required("values", .any, "a number, or nested lists of equal length")],
      returns: "a tensor",
      example: "local t = lunette.tensor{ {1, 2}, {3, 4} }")
  ) { arguments in
    var shape: [Int] = []
    var level = arguments["values"]
    while let table = level.table {
      shape.append(table.array.count)
      level = table.array.first ?? .nil
    }
    var elements: [Float] = []
    try flatten(arguments["values"], shape[...], into: &elements)
    return [.object(TensorObject(NDArray(shape: shape, elements: elements)))]
  }

  private static func flatten(_ value: LuaValue, _ shape: ArraySlice<Int>, into elements: inout [Float])
    throws
  {
    guard let extent = shape.first else {
      guard let number = value.number else {
        throw Diagnostic("a tensor is made of numbers", found: "a \(value.typeName)")
      }
      elements.append(Float(number))
      return
    }
    guard let table = value.table, table.array.count == extent, table.fields.isEmpty else {
      throw Diagnostic("the lists of a tensor have equal lengths", expected: "\(extent) values")
    }
    for item in table.array { try flatten(item, shape.dropFirst(), into: &elements) }
  }

  static let loadTensor = Binding(
    FunctionSchema(
      "lunette.tensor.load", "Reads a .npy file.",
      parameters: [.required("path", .path, "the file")],
      returns: "a tensor; nil and a message when the file is not there",
      example: "local t = lunette.tensor.load(\"input.npy\")")
  ) { arguments in
    let url = fileURL(try arguments.string("path"))
    guard fileExists(url) else { return absence("there is no file \(url.path)") }
    return [.object(TensorObject(try readNPY(url).floats()))]
  }
}
