using System.Diagnostics;

namespace NanoLora.Nn;

/// <summary>One step of training.</summary>
/// <param name="Step">From 1.</param>
/// <param name="Steps">How many are planned.</param>
/// <param name="Loss">Of the step's batch, before its update.</param>
/// <param name="Rate">The schedule's share of the full rates.</param>
/// <param name="GradientNorm">Before clipping.</param>
public readonly record struct FitProgress(int Step, int Steps, float Loss, double Rate, double GradientNorm);

/// <summary>How a training went.</summary>
/// <param name="Steps">Every step; of a training that went on from a state, those since.</param>
/// <param name="Completed">False if it was cancelled.</param>
/// <param name="Seconds">How long it took.</param>
/// <param name="TrainedCount">The number of trained values.</param>
/// <param name="State">What a resumed training needs, if it was cancelled.</param>
public sealed record History(IReadOnlyList<FitProgress> Steps, bool Completed, double Seconds, long TrainedCount, TrainingState? State);

/// <summary>
/// Trains whatever is marked to train: a head, LoRA factors, mixing weights, or all of a model; on classes or on tokens, as the data's targets are.
/// </summary>
public static class Trainer
{
    /// <summary>Trains for a number of passes over the data, with the rates of <see cref="FitOptions"/>.</summary>
    public static History Fit(Model model, IDataset data, int epochs) => Fit(model, data, new FitOptions { Epochs = epochs });

    /// <summary>
    /// Trains on the model's loss, usually cross entropy: the mean over all targets of a step, however they spread over its batches; a step without any
    /// moves nothing. If a classifier's head does not have the data's classes, a new one is started from the class means. The loss is read before the
    /// update; if it or the gradient is not finite, the step is run again with a check after each operation, and no update is made.
    /// </summary>
    /// <exception cref="NonFiniteException">Names the operation that first gave a NaN or an infinity.</exception>
    /// <exception cref="InvalidOperationException">Nothing trains.</exception>
    /// <exception cref="CheckpointException">The state to go on from is that of another training: what differs is named.</exception>
    public static History Fit(Model model, IDataset data, FitOptions? options = null)
    {
        options ??= new();
        if (data.Count == 0) throw new ArgumentException($"Trainer: {data.Name} has no samples.");
        if (options.CheckpointEvery < 1) throw new ArgumentException($"Trainer: a checkpoint every {options.CheckpointEvery} steps; it must be 1 at least.");
        if (options.BatchSize < 1 || options.Accumulation < 1)
            throw new ArgumentException($"Trainer: batches of {options.BatchSize}, {options.Accumulation} of them a step; both must be 1 at least.");
        var classifier = model as Classifier;
        if (classifier is not null && (classifier.Head is null || !classifier.Labels.SequenceEqual(data.Classes))) Heads.NearestMean(classifier, data);
        var trained = Groups(model, options);
        if (trained.Count == 0)
            throw new InvalidOperationException("Trainer: nothing is marked to train. "
                + "Attach an adapter, compose modules, give a new head, or call model.Train().");
        using var optimiser = new AdamW(trained, options.Beta1, options.Beta2);
        var workspace = model.Backend.Main;
        var batchSize = Math.Min(options.BatchSize, data.Count);
        var perEpoch = (data.Count + batchSize - 1) / batchSize;
        var steps = options.Steps ?? Math.Max(1, options.Epochs * perEpoch / options.Accumulation);
        var schedule = new Schedule(options.Schedule, steps, options.Warmup, options.Cycles ?? (options.Schedule == ScheduleKind.CosineRestarts ? 1 : 0.5));
        var sampler = new Sampler(data, batchSize, options.Seed);
        var targets = new int[options.Accumulation];                    // of each batch of a step
        var run = new Lazy<IReadOnlyList<KeyValuePair<string, string>>>(() => TrainingRun.Describe(model, data, options, schedule));
        var (history, clock, first) = (new List<FitProgress>(steps), Stopwatch.StartNew(), 0);
        if (options.Resume is { } state) first = state.Restore(optimiser, run.Value);
        var checkpoints = new Checkpoints(options);
        var (seed, streams, training, checks) = (workspace.Seed, workspace.Streams, workspace.Training, workspace.CheckFinite);
        var recompute = workspace.RecomputeBlocks;
        (workspace.Seed, workspace.Training, workspace.RecomputeBlocks) = (options.Seed, true, recompute || options.RecomputeBlocks);
        try
        {
            for (var step = first; step < steps; step++)
            {
                if (options.Cancellation.IsCancellationRequested) return End(TrainingState.Of(optimiser, step, run.Value));
                if (checkpoints.IsDue(step)) checkpoints.Take(TrainingState.Of(optimiser, step, run.Value));
                var loss = Gradients(step, check: false);
                var norm = optimiser.GradientNorm();
                if (!float.IsFinite(loss) || !double.IsFinite(norm))
                {
                    optimiser.ClearGradients();
                    Gradients(step, check: true);
                    throw new NonFiniteException("the gradient norm", new Shape());
                }
                var share = schedule.At(step);
                optimiser.Step(share, options.Clip is { } clip && norm + 1e-6 > clip ? clip / (norm + 1e-6) : 1);
                optimiser.ClearGradients();
                var progress = new FitProgress(step + 1, steps, loss, share, norm);
                history.Add(progress);
                options.Progress?.Invoke(progress);
            }
            return End(null);
        }
        finally
        {
            optimiser.ClearGradients();
            (workspace.Seed, workspace.Streams, workspace.Training, workspace.CheckFinite) = (seed, streams, training, checks);
            workspace.RecomputeBlocks = recompute;
        }

        History End(TrainingState? state) => new(history, state is null, clock.Elapsed.TotalSeconds, trained.Sum(t => (long)t.Parameter.Value.Count), state);

        // ℓ = Σ_b (n_b / Σ n) ℓ_b: n_b targets of mean loss ℓ_b. A mean of the ℓ_b is another number where the n_b differ.
        float Gradients(int step, bool check)
        {
            var (sum, total) = (0f, 0);
            workspace.CheckFinite = check || checks;
            if (options.Accumulation > 1) for (var part = 0; part < options.Accumulation; part++) total += targets[part] = CountTargets(step, part);
            for (var part = 0; part < options.Accumulation; part++)
            {
                using var scope = workspace.Scope();
                var batch = Read(step, part);
                if (options.Accumulation == 1) total = targets[0] = TargetsOf(batch);
                if (targets[part] == 0) continue;                       // whose mean is no number
                var loss = model.Loss(batch, options.LabelSmoothing);
                if (options.Accumulation > 1) loss = loss.Scale((float)targets[part] / total);
                loss.Backward();
                sum += loss.Item();
            }
            workspace.CheckFinite = checks;
            return sum;
        }

        Batch Read(int step, int part)
        {
            var number = (ulong)step * (ulong)options.Accumulation + (ulong)part;
            workspace.Streams = number << 20;                           // a step's random numbers depend on its number alone
            return data.Read(workspace, sampler.Batch((long)number), options.Augment ? workspace.NextStream() : null);
        }

        // A classifier has one a sample; those of texts are looked at.
        int CountTargets(int step, int part)
        {
            if (classifier is not null) return sampler.Batch((long)step * options.Accumulation + part).Length;
            using var scope = workspace.Scope(grad: false);
            return TargetsOf(Read(step, part));
        }
    }

    // Classes are never ignored, so nobody waits for a device to look at them.
    private static int TargetsOf(Batch batch)
    {
        if (batch.Targets.Shape.Rank == 1) return batch.Targets.Count;
        var count = 0;
        foreach (var target in batch.Targets.ToInts()) if (target != Batch.Ignored) count++;
        return count;
    }

    /// <summary>The parameters that train, each with the rate of its role.</summary>
    public static IReadOnlyList<Trained> Groups(Model model, FitOptions options)
    {
        var (roles, head) = (new Dictionary<Parameter, double>(), (model as Classifier)?.Head);
        foreach (var (_, module) in model.Modules())
        {
            var rate = module is Mixer ? options.MixingRate : module is Lora ? options.FactorRate : module == head ? options.HeadRate : (double?)null;
            if (rate is null) continue;
            foreach (var (path, parameter) in module.Parameters())
            {
                if (!path.StartsWith("adapter.", StringComparison.Ordinal)) roles[parameter] = rate.Value;
            }
        }
        return [.. model.Trained().Select(p => new Trained(p.Value, p.Key, roles.GetValueOrDefault(p.Value, options.BaseRate),
            options.DecayVectors || p.Value.Shape.Rank > 1 ? options.WeightDecay : 0))];
    }
}
