---@meta
-- Made from the schemas in the program.

lunette = {}

lunette.layer = {}

lunette.loss = {}

lunette.optimizer = {}

lunette.tensor = {}

lunette.transform = {}

---Shows or sets the folders of raw data, preprocessed data and results.
---@param arguments { root?: string, raw?: string, preprocessed?: string, results?: string }|string
function lunette.roots(arguments) end

---Opens a dataset in nnU-Net's raw layout.
---@param name integer|string its number, its full name, or the path of its folder
function lunette.dataset(name) end

---Opens the built-in phantom dataset, and makes it first when it is not there.
---@param arguments { cases?: integer }
function lunette.phantom(arguments) end

---Reads a dataset_fingerprint.json, or the fingerprint of a dataset.
---@param source lunette.dataset|string a dataset, or the file's path
function lunette.fingerprint(source) end

---Plans a dataset, or reads plans from a file.
---@param arguments { dataset: lunette.dataset|string|integer, fingerprint?: lunette.fingerprint, planner?: string, memory_gb?: number, target_spacing?: (number)[], name?: string, rules?: table }|lunette.dataset|string|integer
function lunette.plan(arguments) end

---Gives the default augmentation of a configuration.
---@param arguments { plan: lunette.plan, configuration: string, mirror_axes?: (integer)[] }|lunette.plan
function lunette.augmentation(arguments) end

---Makes a training procedure; every key left out has nnU-Net's value.
---@param arguments { name?: string, epochs?: integer, iterations?: integer, validation_iterations?: integer, initial_lr?: number, weight_decay?: number, optimizer?: "sgd"|"adam"|"adamw"|"adan", amsgrad?: boolean, lr_schedule?: "poly"|"cosine", warmup_epochs?: integer, momentum?: number, nesterov?: boolean, foreground_fraction?: number, oversampling?: "last"|"random"|"matched", deep_supervision?: boolean, mirror_axes?: (integer)[], clip_norm?: number, save_every?: integer, batch_dice?: boolean, benchmark?: boolean, data_loading?: boolean, loss?: lunette.loss|function, augmentation?: lunette.augmentation|function, schedule?: function, network?: lunette.layer|function, split?: function, step?: function, observe?: table }
function lunette.trainer(arguments) end

---Trains one fold: preprocesses what is missing, resumes an unfinished run of the same settings, returns a finished one.
---@param arguments { plan: lunette.plan, configuration?: string, fold?: integer|"all", trainer?: lunette.trainer, seed?: integer, precision?: "auto"|"fp32"|"bf16", overwrite?: boolean }
function lunette.train(arguments) end

---Opens a trained model's folder, of this program or of nnU-Net.
---@param folder string a folder TRAINER__PLANS__CONFIGURATION
function lunette.model(folder) end

---Combines several models by their probabilities.
---@param arguments { models: (lunette.model)[], weights?: (number)[], combine?: function, region_order?: (integer)[] }
function lunette.ensemble(arguments) end

---Ranks trained models and pairs of them on their held-out cases, and finds the best one's postprocessing.
---@param arguments { dataset: lunette.dataset|integer|string, configurations?: (string)[], trainers?: (string)[], plans?: (string)[], folds?: (any)[], ensembles?: boolean, keep?: boolean, select?: function, accept_postprocessing?: function }
function lunette.find_best_configuration(arguments) end

---Reads an image or label map.
---@param path string an image file of one channel: NIfTI, NRRD, PNG, ...
function lunette.volume(path) end

---Scores a folder of predictions against references of the same file names.
---@param arguments { reference: string, prediction: string, labels: (any)[]|table<string, any>, ignore_label?: integer, file_ending?: string, allow_missing?: boolean, surface_tolerance?: number, volumes?: boolean }
function lunette.evaluate(arguments) end

---Reads an evaluation that was saved.
---@param path string a summary.json of ours or nnU-Net's, or a folder with one
function lunette.evaluation(path) end

---Makes a tensor from numbers in nested tables.
---@param values any a number, or nested lists of equal length
function lunette.tensor(values) end

---Reads a .npy file.
---@param path string the file
function lunette.tensor.load(path) end

---A tensor of one number everywhere.
---@param shape (integer)[] the extents
---@param value? number the number
function lunette.tensor.full(shape, value) end

---Standard normal numbers.
---@param shape (integer)[] the extents
---@param seed? integer the key of the numbers: the same key gives the same
function lunette.tensor.normal(shape, seed) end

---Tensors one after the other along an axis.
---@param tensors (lunette.tensor)[] the tensors, of equal shapes but for the axis
---@param axis? integer the axis, counted from 1
function lunette.tensor.concatenate(tensors, axis) end

---Tensors of one shape side by side, along a new axis.
---@param tensors (lunette.tensor)[] the tensors
---@param axis? integer where the new axis will be, counted from 1
function lunette.tensor.stack(tensors, axis) end

---Builds a network, with random weights or those of a file.
---@param arguments { architecture: string|lunette.layer|table<string, any>, dimensions?: integer, weights?: string, input_channels: integer, output_channels: integer, seed?: integer }
function lunette.network(arguments) end

---Soft Dice over the classes.
---@param arguments { batch?: boolean, background?: boolean, smoothing?: number }
function lunette.loss.dice(arguments) end

---Tversky's overlap: Dice with weights of its own for what is predicted too much and too little.
---@param arguments { alpha?: number, beta?: number, batch?: boolean, background?: boolean, smoothing?: number }
function lunette.loss.tversky(arguments) end

---Cross-entropy over labels, or binary cross-entropy over regions.
---@param arguments { label_smoothing?: number }
function lunette.loss.cross_entropy(arguments) end

---Cross-entropy over the voxels where it is largest; labels only.
---@param arguments { percent?: number, label_smoothing?: number }
function lunette.loss.top_k(arguments) end

---Cross-entropy that counts less where the prediction is already right; labels only.
---@param arguments { gamma?: number }
function lunette.loss.focal(arguments) end

---A function of differentiable tensors as a loss, to be scaled and added to others.
---@param loss function gives one number from logits [N, K, ...] and labels [N, 1, ...] or region maps [N, R, ...] of one resolution; ctx.level counts resolutions from 1, ctx.ignore_label is the label that does not count
function lunette.loss.custom(loss) end

---Spreads a loss over the resolutions of a network.
---@param loss lunette.loss the loss of one resolution
---@param weights (number)[] one weight per resolution, finest first; 0 leaves one out
function lunette.loss.deep_supervision(loss, weights) end

---Stochastic gradient descent with momentum, as nnU-Net uses it.
---@param arguments { parameters: lunette.parameters|(lunette.tensor)[], lr?: number, momentum?: number, nesterov?: boolean, weight_decay?: number }
function lunette.optimizer.sgd(arguments) end

---Adam, with decay added to the gradient.
---@param arguments { parameters: lunette.parameters|(lunette.tensor)[], lr?: number, weight_decay?: number, amsgrad?: boolean }
function lunette.optimizer.adam(arguments) end

---Adam with decoupled decay.
---@param arguments { parameters: lunette.parameters|(lunette.tensor)[], lr?: number, weight_decay?: number, amsgrad?: boolean }
function lunette.optimizer.adamw(arguments) end

---Adan: Nesterov momentum from gradient differences.
---@param arguments { parameters: lunette.parameters|(lunette.tensor)[], lr?: number, weight_decay?: number }
function lunette.optimizer.adan(arguments) end

---Shows a picture in a notebook, as often as a cell wants; elsewhere it says what it would show.
---@param value any a volume, a prediction or a run; or the path of a picture, .png or .svg, such as :show gives
function lunette.display(value) end

---Gives the reference of all functions and types as text.
---@param format? "markdown"|"stubs" a Markdown page, or LuaCATS stubs for editors
function lunette.reference(format) end

---Convolution, norm and leaky ReLU, nnU-Net's building block.
---@param arguments { channels: integer, kernel?: integer|(integer)[], stride?: integer|(integer)[], bias?: boolean, norm?: "instance"|"batch"|"none", epsilon?: number, dropout?: number, slope?: number, zero?: boolean }
function lunette.layer.block(arguments) end

---A convolution that keeps the extents at stride 1.
---@param arguments { channels: integer, kernel?: integer|(integer)[], stride?: integer|(integer)[], bias?: boolean }
function lunette.layer.conv(arguments) end

---A norm with a factor and a number to add per channel.
---@param arguments { kind?: "instance"|"batch"|"none", epsilon?: number }
function lunette.layer.norm(arguments) end

---Drops units by chance while training, and scales up what is kept.
---@param arguments { probability?: number, unit?: "numbers"|"channels"|"samples" }
function lunette.layer.dropout(arguments) end

---A function of every number; softmax goes over the channels.
---@param arguments { kind?: "leaky_relu"|"relu"|"sigmoid"|"tanh"|"softplus"|"softmax"|"relu6"|"elu"|"celu"|"selu"|"gelu"|"silu"|"mish"|"hardswish", slope?: number }
function lunette.layer.activation(arguments) end

---A transposed convolution whose kernel is its stride.
---@param arguments { channels: integer, stride?: integer|(integer)[] }
function lunette.layer.upsample(arguments) end

---Means over windows that do not overlap.
---@param arguments { kernel?: integer|(integer)[] }
function lunette.layer.pool(arguments) end

---Layers one after the other, as a .. b.
---@param arguments { layers: lunette.layer|(lunette.layer)[] }|lunette.layer|(lunette.layer)[]
function lunette.layer.sequence(arguments) end

---The sum of branches over one input, as a + b.
---@param arguments { layers: lunette.layer|(lunette.layer)[], slope?: number }|lunette.layer|(lunette.layer)[]
function lunette.layer.add(arguments) end

---A layer around which its input passes by, or goes through a shortcut: nnU-Net's residual block.
---@param arguments { layers: lunette.layer|(lunette.layer)[], slope?: number }|lunette.layer|(lunette.layer)[]
function lunette.layer.residual(arguments) end

---The product of branches over one input, as a * b; one channel scales all.
---@param arguments { layers: lunette.layer|(lunette.layer)[] }|lunette.layer|(lunette.layer)[]
function lunette.layer.multiply(arguments) end

---The channels of branches over one input, one after the other.
---@param arguments { layers: lunette.layer|(lunette.layer)[] }|lunette.layer|(lunette.layer)[]
function lunette.layer.concat(arguments) end

---A layer's channels, then those of its input: the step of a U-Net.
---@param arguments { layers: lunette.layer|(lunette.layer)[] }|lunette.layer|(lunette.layer)[]
function lunette.layer.skip(arguments) end

---What comes in.
function lunette.layer.identity() end

---Logits by a pointwise convolution, beside the way on; what comes in goes out.
function lunette.layer.head() end

---Fills boxes of some channels with the mean of what is in them.
---@param arguments { probability?: number, channel_probability?: number, count_range?: (number)[], size_limits?: ((integer)[])[] }
function lunette.transform.blank_rectangle(arguments) end

---Multiplies channels by factors of their own.
---@param arguments { probability?: number, channel_probability?: number, factor_range?: (number)[] }
function lunette.transform.brightness(arguments) end

---Adds a normal number of its own to each of some channels.
---@param arguments { probability?: number, channel_probability?: number, mean?: number, standard_deviation?: number }
function lunette.transform.brightness_additive(arguments) end

---Adds a bump of random place, width and height to some channels.
---@param arguments { probability?: number, channel_probability?: number, center_range?: (number)[], strength_range?: (number)[] }
function lunette.transform.brightness_gradient(arguments) end

---Stretches channels about their mean.
---@param arguments { probability?: number, channel_probability?: number, factor_range?: (number)[], clips?: boolean }
function lunette.transform.contrast(arguments) end

---Stretches channels about their mean, within their old range or beyond it.
---@param arguments { clipped_probability?: number, clipped_channel_probability?: number, clipped_factor_range?: (number)[], clipped_clips?: boolean, unclipped_probability?: number, unclipped_channel_probability?: number, unclipped_factor_range?: (number)[], unclipped_clips?: boolean }
function lunette.transform.contrast_in_or_out(arguments) end

---Makes one target per resolution of the network.
---@param arguments { strides?: ((integer)[])[] }
function lunette.transform.deep_supervision(arguments) end

---Raises the relative intensity of channels to a power, keeping mean and deviation.
---@param arguments { probability?: number, channel_probability?: number, gamma_range?: (number)[], inverts?: boolean }
function lunette.transform.gamma(arguments) end

---The same on the inverted image.
---@param arguments { probability?: number, channel_probability?: number, gamma_range?: (number)[], inverts?: boolean }
function lunette.transform.gamma_inverted(arguments) end

---Blurs some channels with a Gaussian.
---@param arguments { probability?: number, channel_probability?: number, sigma_range?: (number)[], synchronizes_axes?: boolean }
function lunette.transform.gaussian_blur(arguments) end

---Adds normal noise.
---@param arguments { probability?: number, sigma_range?: (number)[] }
function lunette.transform.gaussian_noise(arguments) end

---Mixes some channels with a power of themselves, by a bump of random place and width.
---@param arguments { probability?: number, channel_probability?: number, center_range?: (number)[], gamma_low_range?: (number)[], gamma_high_range?: (number)[] }
function lunette.transform.local_gamma(arguments) end

---Shrinks some channels and enlarges them again.
---@param arguments { probability?: number, channel_probability?: number, zoom_range?: (number)[], ignored_axes?: (integer)[] }
function lunette.transform.low_resolution(arguments) end

---Sets channels to zero outside the nonzero mask.
---@param arguments { channels?: (integer)[] }
function lunette.transform.mask_image(arguments) end

---Replaces voxels of some channels by the median of a cube around them.
---@param arguments { probability?: number, channel_probability?: number, size_range?: (number)[] }
function lunette.transform.median(arguments) end

---One of the two, chosen for every sample.
---@param arguments { median_probability?: number, median_channel_probability?: number, median_size_range?: (number)[], blur_probability?: number, blur_channel_probability?: number, blur_sigma_range?: (number)[], blur_synchronizes_axes?: boolean }
function lunette.transform.median_or_blur(arguments) end

---Flips axes.
---@param arguments { axes?: (integer)[], axis_probability?: number }
function lunette.transform.mirror(arguments) end

---Moves a previous stage's labels into the image.
---@param arguments { labels?: (integer)[] }
function lunette.transform.move_seg_as_one_hot(arguments) end

---Turns by quarters in the plane of two axes of equal extent.
---@param arguments { probability?: number, axes?: (integer)[] }
function lunette.transform.quarter_turn(arguments) end

---Dilates, erodes, opens or closes a previous stage's labels.
---@param arguments { probability?: number, label_probability?: number, radius_range?: (number)[], label_count?: number }
function lunette.transform.random_binary_operator(arguments) end

---Turns labels into regions.
---@param arguments { regions?: ((integer)[])[] }
function lunette.transform.regions(arguments) end

---Replaces one label by another.
---@param arguments { label?: number, replacement?: number }
function lunette.transform.remove_label(arguments) end

---Deletes a component of a previous stage's labels.
---@param arguments { probability?: number, label_probability?: number, largest_share?: number, label_count?: number }
function lunette.transform.remove_random_component(arguments) end

---Adds some of the Laplacian to some channels.
---@param arguments { probability?: number, channel_probability?: number, strength_range?: (number)[] }
function lunette.transform.sharpening(arguments) end

---Rotates and scales, and crops to the patch.
---@param arguments { rotation_probability?: number, rotation_degrees?: (number)[], rotation_axis_probability?: number, scaling_probability?: number, scaling_range?: (number)[], scaling_per_axis?: boolean, dummy_2d?: boolean, image_order?: number, label_order?: number, smallest_zoom?: number }
function lunette.transform.spatial(arguments) end

---Puts axes of equal extent in another order.
---@param arguments { probability?: number, axes?: (integer)[] }
function lunette.transform.transpose(arguments) end

---A dataset in nnU-Net's raw layout.
---@class lunette.dataset
---@field name string the full name, such as Dataset004_Hippocampus
---@field folder string where it lies
---@field channels (string)[] the channel names in file order
---@field labels table<string, any> label names with their value, or list of values for a region
---@field region_order (integer)[] the value painted for each region, in declaration order
---@field file_ending string the ending of image files
---@field cases (string)[] the identifiers of the training cases
local dataset = {}

---Checks every image and label file of the dataset.
function dataset:verify() end

---Reads the dataset's fingerprint, or computes and saves it when there is none.
---@param again? boolean computes it even when there is one
function dataset:fingerprint(again) end

---The files of one training case.
---@param identifier string the case's identifier, as in ds.cases
function dataset:case(identifier) end

---Gives the cases that train and those that validate, for every fold.
---@param arguments { rule?: function, overwrite?: boolean }
function dataset:splits(arguments) end

---Spacings, shapes and intensities of a dataset's cases.
---@class lunette.fingerprint
---@field spacings ((number)[])[] millimetres per case, in the axis order of the files
---@field shapes ((integer)[])[] voxels per case after cropping to nonzero
---@field intensities (table<string, number>)[] foreground statistics per channel: mean, std, percentiles
---@field relative_size number the median share of voxels that cropping to nonzero keeps
local fingerprint = {}

---The whole fingerprint as a table, named as in dataset_fingerprint.json.
function fingerprint:table() end

---What was decided for a dataset, per configuration; other fields are the keys of nnUNetPlans.json.
---@class lunette.plan
---@field name string the plans' name, such as nnUNetPlans
---@field dataset lunette.dataset the dataset, when it is at hand
---@field configurations lunette.configurations the configurations by name
local plan = {}

---Says which rule decided a value, from what, and whether it was overridden.
---@param path string a value such as 3d_fullres.patch_size; a configuration alone gives a table of all
function plan:why(path) end

---The whole plans file as a table.
function plan:table() end

---Lists the values in which two plans differ.
---@param other lunette.plan the plan to compare with
function plan:diff(other) end

---Makes new plans with some values replaced, checked and repaired.
---@param arguments { name: string }
function plan:derive(arguments) end

---Predicts the memory that training a configuration takes.
---@param arguments { configuration: string, precision?: "fp32"|"bf16" }|string
function plan:memory(arguments) end

---Writes the plans, to the dataset's preprocessed folder or to a file.
---@param path? string a file; the dataset's folder when left out
function plan:save(path) end

---The configurations of a plan, by name.
---@class lunette.configurations
local configurations = {}

---A configuration of a plan; its fields are the keys of nnUNetPlans.json.
---@class lunette.configuration
---@field name string the configuration's name
local configuration = {}

---The whole configuration as a table, inheritance resolved.
function configuration:table() end

---A list of named transforms with their parameters; the other fields are the transforms.
---@class lunette.augmentation
---@field patch_size (integer)[] the patch that the network sees
---@field initial_patch_size (integer)[] the larger patch that is read before rotation and scaling
local augmentation = {}

---Lists the transforms in order, with their parameters.
function augmentation:list() end

---Gives the pipeline without one transform.
---@param name string the transform's name, as in aug:list()
function augmentation:without(name) end

---Says whether there is a transform of a name.
---@param name string the name to look for
function augmentation:has(name) end

---Gives the pipeline with a transform inserted after another one.
---@param place string the name of the transform it stands after, as in aug:list()
---@param transform lunette.transform one of lunette.transform
---@param name? string its name in the pipeline; the transform's own by default
function augmentation:insert_after(place, transform, name) end

---Gives the pipeline with a transform inserted before another one.
---@param place string the name of the transform it stands before, as in aug:list()
---@param transform lunette.transform one of lunette.transform
---@param name? string its name in the pipeline; the transform's own by default
function augmentation:insert_before(place, transform, name) end

---Gives the pipeline with some parameters of a transform changed.
---@param name string the transform's name, as in aug:list()
---@param parameters table<string, any> the parameters to change, as in aug[name]
function augmentation:set(name, parameters) end

---Draws every random number of one sample.
---@param seed? integer the key of the random numbers
---@param channels? integer how many channels the image has
function augmentation:draw(seed, channels) end

---Applies a draw to a preprocessed case, or to an image and its labels.
---@param image lunette.tensor|string channels and voxels of the initial patch, or the name of a case
---@param segmentation lunette.tensor|lunette.draw label maps of the same extents; the draw where the first is a case
---@param draw? lunette.draw what aug:draw gave
function augmentation:apply(image, segmentation, draw) end

---Draws a sheet of a case and of what the pipeline makes of it.
---@param arguments { case?: string, count?: integer, seed?: integer, output?: string }
function augmentation:preview(arguments) end

---Every random number of one augmented sample; its fields are the transforms that act.
---@class lunette.draw
local draw = {}

---An augmentation transform; its other fields are its parameters.
---@class lunette.transform
---@field name string which transform it is, and the step's name unless another is given
local transform = {}

---A training procedure; its other fields are the constants it was made with.
---@class lunette.trainer
local trainer = {}

---Makes a new trainer with some keys replaced.
---@param arguments { name?: string, epochs?: integer, iterations?: integer, validation_iterations?: integer, initial_lr?: number, weight_decay?: number, optimizer?: "sgd"|"adam"|"adamw"|"adan", amsgrad?: boolean, lr_schedule?: "poly"|"cosine", warmup_epochs?: integer, momentum?: number, nesterov?: boolean, foreground_fraction?: number, oversampling?: "last"|"random"|"matched", deep_supervision?: boolean, mirror_axes?: (integer)[], clip_norm?: number, save_every?: integer, batch_dice?: boolean, benchmark?: boolean, data_loading?: boolean, loss?: lunette.loss|function, augmentation?: lunette.augmentation|function, schedule?: function, network?: lunette.layer|function, split?: function, step?: function, observe?: table }
function trainer:derive(arguments) end

---One trained fold: its log, its folder, and what can be done with it.
---@class lunette.run
---@field status string how far it got: finished
---@field folder string the fold's folder: checkpoints, training curve, validation
---@field model_folder string the folder of all folds of this training
---@field log (any)[] what each epoch came to, as observers see it
---@field split table<string, (string)[]> the cases that trained and that were held out
local run = {}

---Predicts the held-out cases and scores them.
---@param arguments { checkpoint?: "final"|"best"|"latest", probabilities?: boolean }
function run:validate(arguments) end

---Writes a report: scores, training curve, one held-out case with its contours.
---@param folder string where to write report.md and its pictures
function run:report(folder) end

---Draws the training curve.
---@param path string the picture: .png or .svg
function run:plot(path) end

---The trained model, ready to predict.
function run:model() end

---A trained model: its plan, its labels and its folds.
---@class lunette.model
---@field folder string where it lies
---@field configuration string the configuration's name
---@field folds (string)[] the folds that are there
---@field plan lunette.plan the plan it was trained with
---@field labels (integer)[] the label values it knows
local model = {}

---Predicts one case, or every case of a folder.
---@param arguments { input: string|(string)[], output?: string, folds?: (any)[], checkpoint?: "final"|"best"|"latest", precision?: "fp32"|"bf16", mirror?: boolean, step?: number, probabilities?: boolean, region_order?: (integer)[], previous_stage?: string, keep?: boolean }
function model:predict(arguments) end

---The predicted labels of one case.
---@class lunette.prediction
---@field case string the case's identifier
---@field path string the label map's file
---@field labels lunette.volume the label map
---@field probabilities lunette.tensor probabilities per class, when they were kept, else nil
local prediction = {}

---Writes the label map to a file; the ending decides the format.
---@param path string the file, such as out.nii.gz or out.nrrd
function prediction:save(path) end

---Draws the labels over the image.
---@param path string the picture: .png or .svg
function prediction:show(path) end

---Several models whose probabilities are combined.
---@class lunette.ensemble
local ensemble = {}

---Predicts one case, or every case of a folder, with all models.
---@param arguments { input: string|(string)[], output?: string, folds?: (any)[], checkpoint?: "final"|"best"|"latest", precision?: "fp32"|"bf16", mirror?: boolean, step?: number, probabilities?: boolean, region_order?: (integer)[], previous_stage?: string }
function ensemble:predict(arguments) end

---Models and ensembles with their scores, the best of them and its postprocessing.
---@class lunette.selection
---@field best string the name of the best model or ensemble
---@field dice number its mean foreground Dice
---@field dice_postprocessed number the same after the accepted postprocessing
---@field candidates (any)[] all that competed: name, dice, configurations, folder, evaluation
---@field steps (any)[] the postprocessing steps that were tried: step, labels, before, after, accepted
---@field postprocessing_file string the accepted steps, for apply_postprocessing
---@field instructions string the commands that predict with the best
local selection = {}

---What was tried, what it scored and why the best won, as text.
function selection:report() end

---The models of the best, ready to predict; several for an ensemble.
function selection:models() end

---An image or label map with its place in the world; axes are z, y, x.
---@class lunette.volume
---@field path string the file it came from
---@field shape (integer)[] voxels along z, y, x
---@field spacing (number)[] millimetres between voxels along z, y, x
---@field origin (number)[] the first voxel's place: x, y, z in millimetres, LPS
---@field direction (number)[] direction cosines, row by row, LPS
local volume = {}

---Measures the voxels.
function volume:stats() end

---Takes one slice.
---@param arguments { axis?: integer, index: integer }
function volume:slice(arguments) end

---The voxels as a tensor.
function volume:tensor() end

---Draws slices as a picture, with label maps over them when given.
---@param arguments { path: string, overlay?: lunette.volume, reference?: lunette.volume, title?: string }|string
function volume:show(arguments) end

---Writes the volume to an image file; the ending decides the format.
---@param path string the file, such as copy.nii.gz or copy.nrrd
function volume:save(path) end

---Scores of predictions, per case and averaged, named as in summary.json.
---@class lunette.evaluation
---@field foreground_mean table<string, number> the mean over all labels but the background
---@field mean table<string, table<string, number>> the mean over cases, per label
---@field cases (any)[] the scores of each case
---@field surface_tolerance number the tolerance of NSD in mm, nil where surfaces were not measured
local evaluation = {}

---The whole summary as a table.
function evaluation:table() end

---Writes summary.json as nnU-Net does.
---@param arguments { path: string, strict?: boolean }|string
function evaluation:save(arguments) end

---The means as text: a line per target.
function evaluation:report() end

---All cases as comma-separated values: a row per case and target.
---@param path? string writes them to this file too
function evaluation:csv(path) end

---Compares another evaluation of the same cases with this one.
---@param arguments { other: lunette.evaluation|string, metric?: string, resamples?: integer, seed?: integer }|lunette.evaluation|string
function evaluation:compare(arguments) end

---Paired differences of two evaluations, the other minus the first.
---@class lunette.comparison
---@field metric string what is compared
---@field targets table<string, any> per target, and as foreground_mean over all: mean_difference, median_difference, interval, p_value, better, worse and more
local comparison = {}

---The comparison as text: a line per target, and the cases that changed most.
---@param show? integer how many cases to name
function comparison:report(show) end

---The comparison as comma-separated values: a row per target, or per case and target.
---@param arguments { path?: string, cases?: boolean }|string
function comparison:csv(arguments) end

---An array of numbers; operations on it can be differentiated.
---@class lunette.tensor
---@field shape (integer)[] the extents, slowest axis first
---@field count integer how many numbers it holds
---@field grad lunette.tensor the gradient gathered so far; nil before any arrived
local tensor = {}

---Makes the tensor learnable, so that backward fills its grad.
function tensor:requires_grad() end

---Sends gradients back to every learnable tensor that it was computed from.
function tensor:backward() end

---Forgets the gradient gathered so far.
function tensor:zero_grad() end

---The same numbers, with no way back.
function tensor:detach() end

---The number of a tensor that holds one.
function tensor:item() end

---One number by its position, counted from 1 along each axis.
---@param index (integer)[] one position per axis
function tensor:at(index) end

---The numbers as nested tables.
function tensor:table() end

---Writes the tensor to a .npy file.
---@param path string the file
function tensor:save(path) end

---Replaces the numbers, also those of a network's parameter.
---@param values lunette.tensor a tensor of the same shape
function tensor:assign(values) end

---e to the power of every number.
function tensor:exp() end

---The natural logarithm of every number.
function tensor:log() end

---The square root of every number.
function tensor:sqrt() end

---Every number without its sign.
function tensor:abs() end

---Every number, moved into a range.
---@param low number the smallest value
---@param high? number the largest value
function tensor:clamp(low, high) end

---1 / (1 + exp(-x)).
function tensor:sigmoid() end

---The hyperbolic tangent.
function tensor:tanh() end

---Zero in place of negative numbers.
function tensor:relu() end

---Negative numbers made smaller.
---@param slope? number the factor on negative numbers
function tensor:leaky_relu(slope) end

---log(1 + exp(x)), without overflow.
function tensor:softplus() end

---Every number to a power.
---@param other number|lunette.tensor a number, or a tensor of a shape that fits
function tensor:pow(other) end

---The larger of two numbers, at every place.
---@param other number|lunette.tensor a number, or a tensor of a shape that fits
function tensor:maximum(other) end

---The smaller of two numbers, at every place.
---@param other number|lunette.tensor a number, or a tensor of a shape that fits
function tensor:minimum(other) end

---1 where the number is smaller than the other, 0 elsewhere.
---@param other number|lunette.tensor a number, or a tensor of a shape that fits
function tensor:lt(other) end

---1 where the number is smaller than or equal to the other, 0 elsewhere.
---@param other number|lunette.tensor a number, or a tensor of a shape that fits
function tensor:le(other) end

---1 where the number is larger than the other, 0 elsewhere.
---@param other number|lunette.tensor a number, or a tensor of a shape that fits
function tensor:gt(other) end

---1 where the number is larger than or equal to the other, 0 elsewhere.
---@param other number|lunette.tensor a number, or a tensor of a shape that fits
function tensor:ge(other) end

---1 where two numbers are equal, 0 elsewhere.
---@param other number|lunette.tensor a number, or a tensor of a shape that fits
function tensor:eq(other) end

---Probabilities out of logits, along an axis.
---@param axis? integer the axis, counted from 1; the channels' by default, which is 2 (1 for a list)
function tensor:softmax(axis) end

---Logarithms of probabilities out of logits, along an axis.
---@param axis? integer the axis, counted from 1; the channels' by default, which is 2 (1 for a list)
function tensor:log_softmax(axis) end

---One 0/1 channel per class, out of labels along an axis of extent 1.
---@param classes integer how many classes, the first of them 0
---@param axis? integer the axis, counted from 1; the channels' by default, which is 2 (1 for a list)
function tensor:one_hot(classes, axis) end

---Along an axis, the numbers at the positions in another tensor.
---@param index lunette.tensor the positions; of the same shape but for the axis
---@param axis? integer the axis, counted from 1; the channels' by default, which is 2 (1 for a list)
function tensor:gather(index, axis) end

---The matrix product over the last two axes.
---@param other lunette.tensor the right factor
function tensor:matmul(other) end

---The sum, of all numbers or along axes.
---@param axes? integer|(integer)[] one axis or several, counted from 1; all by default
---@param keepdims? boolean keeps the axes, with extent 1
function tensor:sum(axes, keepdims) end

---The mean, of all numbers or along axes.
---@param axes? integer|(integer)[] one axis or several, counted from 1; all by default
---@param keepdims? boolean keeps the axes, with extent 1
function tensor:mean(axes, keepdims) end

---The largest number, of all or along axes.
---@param axes? integer|(integer)[] one axis or several, counted from 1; all by default
---@param keepdims? boolean keeps the axes, with extent 1
function tensor:max(axes, keepdims) end

---The smallest number, of all or along axes.
---@param axes? integer|(integer)[] one axis or several, counted from 1; all by default
---@param keepdims? boolean keeps the axes, with extent 1
function tensor:min(axes, keepdims) end

---The same numbers under another shape.
---@param shape (integer)[] the new extents; one of them may be -1, for what is left
function tensor:reshape(shape) end

---The axes in another order.
---@param axes (integer)[] the old axis, counted from 1, for each new one
function tensor:permute(axes) end

---Two axes exchanged; the last two by default.
---@param first? integer an axis, counted from 1
---@param second? integer another
function tensor:transpose(first, second) end

---A range along an axis.
---@param arguments { axis: integer, first?: integer, last?: integer, step?: integer }|integer
function tensor:slice(arguments) end

---One position along an axis, which goes.
---@param axis integer the axis, counted from 1
---@param position integer the position, counted from 1
function tensor:index(axis, position) end

---Repeats axes of extent 1, and puts new ones in front.
---@param shape (integer)[] the new extents
function tensor:expand(shape) end

---Leaves out an axis of extent 1.
---@param axis integer the axis, counted from 1
function tensor:squeeze(axis) end

---Puts in an axis of extent 1.
---@param axis integer where it will be, counted from 1
function tensor:unsqueeze(axis) end

---A segmentation network with its weights.
---@class lunette.network
---@field parameter_count integer how many numbers it learns
---@field head_count integer at how many resolutions it answers
---@field parameter_names (string)[] the names of the learnable tensors
---@field buffer_names (string)[] the names of running statistics, which training moves
local network = {}

---Computes the logits of every resolution, finest first.
---@param arguments { input: lunette.tensor, gradients?: boolean, training?: boolean, precision?: "fp32"|"bf16" }|lunette.tensor
function network:forward(arguments) end

---The learnable tensors, for an optimizer.
function network:parameters() end

---One learnable tensor by name: the network's own, not a copy.
---@param name string the name, as in net.parameter_names
function network:parameter(name) end

---The present numbers of a running statistic, by name.
---@param name string the name, as in net.buffer_names
function network:buffer(name) end

---A layer of a network, or several: a .. b is one after the other, a + b and a * b are branches over one input.
---@class lunette.layer
local layer = {}

---The same layer, whose parameters' names begin with the given name.
---@param name string such as encoder.stages.0
function layer:named(name) end

---The layer as a table, as a checkpoint keeps it.
function layer:table() end

---The learnable tensors of a network.
---@class lunette.parameters
local parameters = {}

---A segmentation loss; losses and functions add, and numbers scale them. loss(heads, targets) gives a tensor.
---@class lunette.loss
local loss = {}

---Changes parameters along their gradients; lr can be set.
---@class lunette.optimizer
---@field lr number the learning rate
local optimizer = {}

---Limits the norm over all gradients in the next step.
---@param limit? number the largest norm
function optimizer:clip(limit) end

---Forgets the gradients gathered since the last step.
function optimizer:zero_grad() end

---Changes every parameter along its gradient, and clears the gradients.
function optimizer:step() end
