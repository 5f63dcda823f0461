// The list of everything in the `lunette` table.

extension Catalog {
  /// What scripts can reach.
  package static let standard: Catalog = Catalog(
    functions: [
      .roots, .dataset, .phantom, .fingerprint, .plan, .augmentation, .trainer, .train, .model, .ensemble,
      .volume, .evaluate, .tensor,
      .loadTensor, .network, .dice, .tversky, .crossEntropy, .topK, .focal, .deepSupervision, .sgd, .adam,
      .adamw, .adan, .reference,
    ],
    objects: [
      DatasetObject.schema, FingerprintObject.schema, PlanObject.schema, ConfigurationsObject.schema,
      ConfigurationObject.schema, AugmentationObject.schema, AugmentationDrawObject.schema,
      TrainerObject.schema, RunObject.schema,
      ModelObject.schema, PredictionObject.schema, EnsembleObject.schema, VolumeObject.schema,
      EvaluationObject.schema, TensorObject.schema, NetworkObject.schema, ParametersObject.schema,
      LossObject.schema, LossValueObject.schema, OptimizerObject.schema,
    ])
}
