// The functions of tensors in scripts: of every number, along axes, and of shapes. Axes are counted from 1.

import Backends
import LuaHost
import Networks
import Reporting
import Tensors

/// The axis that holds channels or classes: the second, or the only one.
private let channelAxis = ParameterSchema(
  "axis", .integer, in: 1...8, "the axis, counted from 1; the channels' by default, which is 2 (1 for a list)"
)

extension Arguments {
  /// An axis counted from 0.
  fileprivate func axis(_ name: String = "axis", of tensor: TensorObject, extra: Int = 0) throws -> Int {
    let rank = tensor.shape.count + extra
    let axis = has(name) ? try integer(name) : min(2, rank)
    guard (1...max(rank, 1)).contains(axis), rank > 0 else {
      throw Diagnostic(
        "there is no axis \(axis)", expected: "1 to \(rank)", found: "a tensor \(tensor.shape)")
    }
    return axis - 1
  }
}

extension TensorObject {
  // MARK: - Of every number

  private static func elementwise(
    _ name: String, _ summary: String, parameters: [ParameterSchema] = [], example: String,
    _ function: @escaping @Sendable (Arguments) throws -> ElementFunction
  ) -> Binding {
    .method(
      FunctionSchema(
        "tensor:\(name)", summary, parameters: parameters, positional: 2, returns: "a tensor",
        example: "local t = lunette.tensor{ 0.5, 1, 2 }\nprint(t:\(example))")
    ) { (it: TensorObject, arguments) in
      let function = try function(arguments)
      return .object(try apply([it], in: arguments.state) { $0.map($1[0], function) })
    }
  }

  private static func pairwise(
    _ name: String, _ summary: String, _ function: PairFunction, swapped: Bool = false
  )
    -> Binding
  {
    .method(
      FunctionSchema(
        "tensor:\(name)", summary,
        parameters: [
          .required(
            "other", .either([.number, .object("tensor")]), "a number, or a tensor of a shape that fits")
        ],
        returns: "a tensor", example: "print(lunette.tensor{ 0.5, 1, 2 }:\(name)(1))")
    ) { (it: TensorObject, arguments) in
      let (a, b) = swapped ? (arguments["other"], .object(it)) : (LuaValue.object(it), arguments["other"])
      return .object(try combine(a, b, function, in: arguments.state))
    }
  }

  static let functionMethods: [Binding] = [
    elementwise("exp", "e to the power of every number.", example: "exp()") { _ in .exponential },
    elementwise("log", "The natural logarithm of every number.", example: "log()") { _ in .logarithm },
    elementwise("sqrt", "The square root of every number.", example: "sqrt()") { _ in .squareRoot },
    elementwise("abs", "Every number without its sign.", example: "abs()") { _ in .absolute },
    elementwise(
      "clamp", "Every number, moved into a range.",
      parameters: [
        .required("low", .number, "the smallest value"),
        ParameterSchema("high", .number, default: 3.4e38, "the largest value"),
      ], example: "clamp(0.7, 1.5)"
    ) { .clamp(Float(try $0.number("low")), Float(try $0.number("high"))) },
    elementwise("sigmoid", "1 / (1 + exp(-x)).", example: "sigmoid()") { _ in .sigmoid },
    elementwise("tanh", "The hyperbolic tangent.", example: "tanh()") { _ in .hyperbolicTangent },
    elementwise("relu", "Zero in place of negative numbers.", example: "relu()") { _ in
      .leakyReLU(slope: 0)
    },
    elementwise(
      "leaky_relu", "Negative numbers made smaller.",
      parameters: [ParameterSchema("slope", .number, default: 0.01, "the factor on negative numbers")],
      example: "leaky_relu(0.1)"
    ) { .leakyReLU(slope: Float(try $0.number("slope"))) },
    elementwise("softplus", "log(1 + exp(x)), without overflow.", example: "softplus()") { _ in .softplus },
    pairwise("pow", "Every number to a power.", .power),
    pairwise("maximum", "The larger of two numbers, at every place.", .larger),
    pairwise("minimum", "The smaller of two numbers, at every place.", .smaller),
    pairwise("lt", "1 where the number is smaller than the other, 0 elsewhere.", .less),
    pairwise("le", "1 where the number is smaller than or equal to the other, 0 elsewhere.", .lessOrEqual),
    pairwise("gt", "1 where the number is larger than the other, 0 elsewhere.", .less, swapped: true),
    pairwise(
      "ge", "1 where the number is larger than or equal to the other, 0 elsewhere.", .lessOrEqual,
      swapped: true),
    pairwise("eq", "1 where two numbers are equal, 0 elsewhere.", .equal),
    .method(
      FunctionSchema(
        "tensor:softmax", "Probabilities out of logits, along an axis.", parameters: [channelAxis],
        returns: "a tensor", example: "print(lunette.tensor{ 1, 2, 3 }:softmax())")
    ) { (it: TensorObject, arguments) in
      let axis = try arguments.axis(of: it)
      return .object(try apply([it], in: arguments.state) { $0.softmax($1[0], axis: axis) })
    },
    .method(
      FunctionSchema(
        "tensor:log_softmax", "Logarithms of probabilities out of logits, along an axis.",
        parameters: [channelAxis], returns: "a tensor",
        example: "print(lunette.tensor{ 1, 2, 3 }:log_softmax())")
    ) { (it: TensorObject, arguments) in
      let axis = try arguments.axis(of: it)
      return .object(try apply([it], in: arguments.state) { $0.logSoftmax($1[0], axis: axis) })
    },
    .method(
      FunctionSchema(
        "tensor:one_hot", "One 0/1 channel per class, out of labels along an axis of extent 1.",
        parameters: [
          .required("classes", .integer, in: 1...10_000, "how many classes, the first of them 0"),
          channelAxis,
        ],
        positional: 2, returns: "a tensor",
        example: "local labels = lunette.tensor{ {0}, {2} }\nprint(labels:one_hot(3).shape[2])")
    ) { (it: TensorObject, arguments) in
      let axis = try arguments.axis(of: it)
      guard it.shape[axis] == 1 else {
        throw Diagnostic(
          "labels have one channel", expected: "an extent of 1 along axis \(axis + 1)", found: "\(it.shape)")
      }
      let classes = try arguments.integer("classes")
      let shape = it.shape.indices.map { $0 == axis ? classes : 1 }
      let numbers = TensorObject(NDArray(shape: shape, elements: (0..<classes).map(Float.init)))
      return .object(try apply([it, numbers], in: arguments.state) { $0.combine($1[0], $1[1], .equal) })
    },
    .method(
      FunctionSchema(
        "tensor:gather", "Along an axis, the numbers at the positions in another tensor.",
        details:
          "Positions count from 0, as labels do; where one lies outside, such as an ignore label, the result is 0.",
        parameters: [
          .required("index", .object("tensor"), "the positions; of the same shape but for the axis"),
          channelAxis,
        ],
        positional: 2, returns: "a tensor of the index's shape",
        example: "local logits, labels = lunette.tensor{ {1, 2, 3} }, lunette.tensor{ {2} }\n"
          + "print(logits:log_softmax():gather(labels):item())")
    ) { (it: TensorObject, arguments) in
      let axis = try arguments.axis(of: it)
      let index: TensorObject = try arguments.object("index")
      guard index.shape.count == it.shape.count,
        it.shape.indices.allSatisfy({ $0 == axis || index.shape[$0] == it.shape[$0] })
      else {
        throw Diagnostic(
          "the positions do not fit the tensor",
          expected: "\(it.shape), with any extent along axis \(axis + 1)",
          found: "\(index.shape)")
      }
      return .object(
        try apply([it], in: arguments.state) {
          $0.select($1[0], at: index.tensor(on: $0.backend), axis: axis)
        })
    },
    .method(
      FunctionSchema(
        "tensor:matmul", "The matrix product over the last two axes.",
        details: "Leading axes are equal in both, or missing from one of them.",
        parameters: [.required("other", .object("tensor"), "the right factor")], returns: "a tensor",
        example: "local t = lunette.tensor{ {1, 2}, {3, 4} }\nprint(t:matmul(t):at{ 1, 1 })")
    ) { (it: TensorObject, arguments) in
      let other: TensorObject = try arguments.object("other")
      let (a, b) = (it.shape, other.shape)
      let leads = (a.dropLast(2), b.dropLast(2))
      guard a.count >= 2, b.count >= 2, a[a.count - 1] == b[b.count - 2],
        leads.0 == leads.1 || leads.0.isEmpty || leads.1.isEmpty
      else {
        throw Diagnostic(
          "the matrices do not fit", expected: "[..., n, k] and [..., k, m]", found: "\(a) and \(b)")
      }
      return .object(try apply([it, other], in: arguments.state) { $0.product($1[0], $1[1]) })
    },
  ]

  // MARK: - Along axes

  private static func reduction(
    _ name: String, _ summary: String, _ body: @escaping @Sendable (Tape, Variable, [Int]) -> Variable
  ) -> Binding {
    .method(
      FunctionSchema(
        "tensor:\(name)", summary,
        parameters: [
          ParameterSchema(
            "axes", .either([.integer, .list(.integer)]),
            "one axis or several, counted from 1; all by default"),
          ParameterSchema("keepdims", .boolean, default: false, "keeps the axes, with extent 1"),
        ], positional: 2, returns: "a tensor; item() gives the number of one without axes",
        example: "local t = lunette.tensor{ {1, 2}, {3, 4} }\nprint(t:\(name)(), t:\(name)(1).shape[1])")
    ) { (it: TensorObject, arguments) in
      let rank = it.shape.count
      var axes = Array(0..<rank)
      if let single = arguments["axes"].integer { axes = [single - 1] }
      if arguments["axes"].table != nil { axes = try arguments.integers("axes").map { $0 - 1 } }
      guard axes.allSatisfy({ (0..<rank).contains($0) }), Set(axes).count == axes.count else {
        throw Diagnostic(
          "there are no such axes", expected: "1 to \(rank), each once", found: "\(axes.map { $0 + 1 })")
      }
      let keeps = try arguments.boolean("keepdims")
      let shape = it.shape.enumerated().filter { !axes.contains($0.offset) }.map(\.element)
      return .object(
        try apply([it], in: arguments.state) { tape, x in
          let y = body(tape, x[0], axes)
          return keeps ? y : tape.reshape(y, to: shape)
        })
    }
  }

  static let reductionMethods: [Binding] = [
    reduction("sum", "The sum, of all numbers or along axes.") { $0.reduce($1, axes: $2, .sum) },
    reduction("mean", "The mean, of all numbers or along axes.") { $0.mean($1, axes: $2) },
    reduction("max", "The largest number, of all or along axes.") { $0.reduce($1, axes: $2, .maximum) },
    reduction("min", "The smallest number, of all or along axes.") { $0.reduce($1, axes: $2, .minimum) },
  ]

  // MARK: - Shapes

  private static func reshaped(_ it: TensorObject, _ shape: [Int], in state: LuaState) throws -> LuaValue {
    .object(try apply([it], in: state) { $0.reshape($1[0], to: shape) })
  }

  static let shapeMethods: [Binding] = [
    .method(
      FunctionSchema(
        "tensor:reshape", "The same numbers under another shape.",
        parameters: [
          .required("shape", .list(.integer), "the new extents; one of them may be -1, for what is left")
        ],
        returns: "a tensor", example: "local t = lunette.tensor{ 1, 2, 3, 4 }:reshape{ 2, -1 }")
    ) { (it: TensorObject, arguments) in
      var shape = try arguments.integers("shape")
      let known = shape.filter { $0 != -1 }.reduce(1) { $0.multipliedReportingOverflow(by: $1).partialValue }
      if let free = shape.firstIndex(of: -1), known > 0 { shape[free] = it.count / known }
      guard shape.allSatisfy({ $0 >= 0 }),
        shape.reduce(1, { $0.multipliedReportingOverflow(by: $1).partialValue }) == it.count
      else {
        throw Diagnostic("the shape does not fit", expected: "\(it.count) numbers", found: "\(shape)")
      }
      return try reshaped(it, shape, in: arguments.state)
    },
    .method(
      FunctionSchema(
        "tensor:permute", "The axes in another order.",
        parameters: [.required("axes", .list(.integer), "the old axis, counted from 1, for each new one")],
        returns: "a tensor", example: "print(lunette.tensor{ {1, 2, 3} }:permute{ 2, 1 }.shape[1])")
    ) { (it: TensorObject, arguments) in
      let axes = try arguments.integers("axes").map { $0 - 1 }
      guard axes.sorted() == Array(it.shape.indices) else {
        throw Diagnostic(
          "not an order of the axes", expected: "1 to \(it.shape.count), each once",
          found: "\(axes.map { $0 + 1 })")
      }
      return .object(try apply([it], in: arguments.state) { $0.permute($1[0], axes) })
    },
    .method(
      FunctionSchema(
        "tensor:transpose", "Two axes exchanged; the last two by default.",
        parameters: [
          ParameterSchema("first", .integer, in: 1...8, "an axis, counted from 1"),
          ParameterSchema("second", .integer, in: 1...8, "another"),
        ], positional: 2, returns: "a tensor",
        example: "print(lunette.tensor{ {1, 2, 3} }:transpose().shape[1])")
    ) { (it: TensorObject, arguments) in
      let rank = it.shape.count
      let first = arguments.has("first") ? try arguments.integer("first") - 1 : rank - 2
      let second = arguments.has("second") ? try arguments.integer("second") - 1 : rank - 1
      guard it.shape.indices.contains(first), it.shape.indices.contains(second) else {
        throw Diagnostic(
          "there are no such axes", expected: "1 to \(rank)", found: "\(first + 1) and \(second + 1)")
      }
      var axes = Array(0..<rank)
      axes.swapAt(first, second)
      return .object(try apply([it], in: arguments.state) { [axes] in $0.permute($1[0], axes) })
    },
    .method(
      FunctionSchema(
        "tensor:slice", "A range along an axis.",
        parameters: [
          .required("axis", .integer, in: 1...8, "the axis, counted from 1"),
          ParameterSchema("first", .integer, default: 1, in: 1...1e15, "the first position, counted from 1"),
          ParameterSchema("last", .integer, in: 1...1e15, "the last position; the axis's end by default"),
          ParameterSchema("step", .integer, default: 1, in: 1...1e15, "takes every so many"),
        ], positional: 3, returns: "a tensor",
        example: "print(lunette.tensor{ 1, 2, 3, 4 }:slice{ axis=1, first=2, last=3 })")
    ) { (it: TensorObject, arguments) in
      let axis = try arguments.axis(of: it)
      let first = try arguments.integer("first")
      let last = arguments.has("last") ? try arguments.integer("last") : it.shape[axis]
      guard first <= last, last <= it.shape[axis] else {
        throw Diagnostic(
          "the range is outside the tensor", expected: "within 1 to \(it.shape[axis])",
          found: "\(first) to \(last)")
      }
      let step = try arguments.integer("step")
      return .object(
        try apply([it], in: arguments.state) {
          $0.slice($1[0], axis: axis, first - 1..<last, step: step)
        })
    },
    .method(
      FunctionSchema(
        "tensor:index", "One position along an axis, which goes.",
        parameters: [
          .required("axis", .integer, in: 1...8, "the axis, counted from 1"),
          .required("position", .integer, in: 1...1e15, "the position, counted from 1"),
        ], positional: 2, returns: "a tensor with an axis less",
        example: "print(lunette.tensor{ {1, 2}, {3, 4} }:index(1, 2))")
    ) { (it: TensorObject, arguments) in
      let axis = try arguments.axis(of: it)
      let position = try arguments.integer("position") - 1
      guard position < it.shape[axis] else {
        throw Diagnostic(
          "the position is outside the tensor", expected: "within 1 to \(it.shape[axis])",
          found: "\(position + 1)")
      }
      var shape = it.shape
      shape.remove(at: axis)
      return .object(
        try apply([it], in: arguments.state) { [shape] in
          $0.reshape($0.slice($1[0], axis: axis, position..<position + 1), to: shape)
        })
    },
    .method(
      FunctionSchema(
        "tensor:expand", "Repeats axes of extent 1, and puts new ones in front.",
        parameters: [.required("shape", .list(.integer), "the new extents")], returns: "a tensor",
        example: "print(lunette.tensor{ {1}, {2} }:expand{ 2, 3 }.shape[2])")
    ) { (it: TensorObject, arguments) in
      let shape = try arguments.integers("shape")
      guard shape.allSatisfy({ $0 >= 0 }), shape.count <= 8, broadcastShape(it.shape, shape) == shape else {
        throw Diagnostic(
          "the shape does not fit", expected: "\(it.shape), where 1 may become more", found: "\(shape)")
      }
      return .object(try apply([it], in: arguments.state) { $0.expand($1[0], to: shape) })
    },
    .method(
      FunctionSchema(
        "tensor:squeeze", "Leaves out an axis of extent 1.",
        parameters: [.required("axis", .integer, in: 1...8, "the axis, counted from 1")], returns: "a tensor",
        example: "print(lunette.tensor{ {1, 2} }:squeeze(1).shape[1])")
    ) { (it: TensorObject, arguments) in
      let axis = try arguments.axis(of: it)
      guard it.shape[axis] == 1 else {
        throw Diagnostic(
          "the axis cannot be left out", expected: "an extent of 1", found: "\(it.shape[axis])")
      }
      var shape = it.shape
      shape.remove(at: axis)
      return try reshaped(it, shape, in: arguments.state)
    },
    .method(
      FunctionSchema(
        "tensor:unsqueeze", "Puts in an axis of extent 1.",
        parameters: [.required("axis", .integer, in: 1...8, "where it will be, counted from 1")],
        returns: "a tensor",
        example: "print(lunette.tensor{ 1, 2 }:unsqueeze(1).shape[1])")
    ) { (it: TensorObject, arguments) in
      let axis = try arguments.axis(of: it, extra: 1)
      var shape = it.shape
      shape.insert(1, at: axis)
      return try reshaped(it, shape, in: arguments.state)
    },
  ]
}
