// What makes tensors in scripts: tables, files, other tensors, random numbers.

import Archives
import Foundation
import LuaHost
import Networks
import Reporting
import Tensors

extension Binding {
  static let tensor = Binding(
    FunctionSchema(
      "lunette.tensor", "Makes a tensor from numbers in nested tables.",
      parameters: [.required("values", .any, "a number, or nested lists of equal length")],
      returns: "a tensor", example: "local t = lunette.tensor{ {1, 2}, {3, 4} }")
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

  /// The most numbers that a script makes at once.
  private static let largestCount = 1 << 34

  private static func shape(_ arguments: Arguments) throws -> [Int] {
    let shape = try arguments.integers("shape")
    var count: Int? = 1
    for extent in shape {
      let product = (count ?? 0).multipliedReportingOverflow(by: extent)
      count = extent < 0 || product.overflow ? nil : count.map { _ in product.partialValue }
    }
    guard let count, count <= largestCount, shape.count <= 8 else {
      throw Diagnostic("the shape is not usable", expected: "up to 8 extents from 0", found: "\(shape)")
    }
    return shape
  }

  static let filledTensor = Binding(
    FunctionSchema(
      "lunette.tensor.full", "A tensor of one number everywhere.",
      parameters: [
        .required("shape", .list(.integer), "the extents"),
        ParameterSchema("value", .number, default: 0.0, "the number"),
      ], positional: 2, returns: "a tensor", example: "local ones = lunette.tensor.full({ 2, 3 }, 1)")
  ) { arguments in
    [
      .object(
        TensorObject(
          NDArray(shape: try shape(arguments), repeating: Float(try arguments.number("value")))))
    ]
  }

  static let normalTensor = Binding(
    FunctionSchema(
      "lunette.tensor.normal", "Standard normal numbers.",
      parameters: [
        .required("shape", .list(.integer), "the extents"),
        ParameterSchema("seed", .integer, default: 0, "the key of the numbers: the same key gives the same"),
      ], positional: 2, returns: "a tensor", example: "local noise = lunette.tensor.normal({ 2, 3 }, 7)")
  ) { arguments in
    var random = RandomSource(key: [try arguments.integer("seed")])
    let shape = try shape(arguments)
    let elements = (0..<shape.reduce(1, *)).map { _ in Float(random.normal()) }
    return [.object(TensorObject(NDArray(shape: shape, elements: elements)))]
  }

  static let joinedTensors = Binding(
    FunctionSchema(
      "lunette.tensor.concatenate", "Tensors one after the other along an axis.",
      parameters: [
        .required("tensors", .list(.object("tensor")), "the tensors, of equal shapes but for the axis"),
        ParameterSchema("axis", .integer, default: 1, in: 1...8, "the axis, counted from 1"),
      ], positional: 2, returns: "a tensor",
      example: "local t = lunette.tensor{ {1, 2} }\nprint(lunette.tensor.concatenate({ t, t }, 1).shape[1])")
  ) { arguments in
    let tensors = try tensors(arguments)
    let axis = try arguments.integer("axis") - 1
    let first = tensors[0].shape
    guard first.indices.contains(axis),
      tensors.allSatisfy({ tensor in
        tensor.shape.count == first.count
          && first.indices.allSatisfy { $0 == axis || tensor.shape[$0] == first[$0] }
      })
    else {
      throw Diagnostic(
        "the tensors do not fit together", expected: "equal shapes but for axis \(axis + 1)",
        found: tensors.map { "\($0.shape)" }.joined(separator: ", "))
    }
    return [.object(try TensorObject.apply(tensors, in: arguments.state) { $0.join($1, axis: axis) })]
  }

  static let stackedTensors = Binding(
    FunctionSchema(
      "lunette.tensor.stack", "Tensors of one shape side by side, along a new axis.",
      parameters: [
        .required("tensors", .list(.object("tensor")), "the tensors"),
        ParameterSchema(
          "axis", .integer, default: 1, in: 1...8, "where the new axis will be, counted from 1"),
      ], positional: 2, returns: "a tensor",
      example: "local t = lunette.tensor{ 1, 2 }\nprint(lunette.tensor.stack({ t, t }, 1).shape[1])")
  ) { arguments in
    let tensors = try tensors(arguments)
    let axis = try arguments.integer("axis") - 1
    var shape = tensors[0].shape
    guard axis <= shape.count, tensors.allSatisfy({ $0.shape == shape }) else {
      throw Diagnostic(
        "the tensors cannot be stacked", expected: "equal shapes, and an axis up to \(shape.count + 1)",
        found: tensors.map { "\($0.shape)" }.joined(separator: ", "))
    }
    shape.insert(1, at: axis)
    return [
      .object(
        try TensorObject.apply(tensors, in: arguments.state) { [shape] tape, parts in
          tape.join(parts.map { tape.reshape($0, to: shape) }, axis: axis)
        })
    ]
  }

  private static func tensors(_ arguments: Arguments) throws -> [TensorObject] {
    let tensors = try arguments.table("tensors").array.compactMap { $0.object as? TensorObject }
    guard !tensors.isEmpty else {
      throw Diagnostic("there are no tensors", expected: "a list of at least one")
    }
    return tensors
  }
}
