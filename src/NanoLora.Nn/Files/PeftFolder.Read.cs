using System.Text.Json;

namespace NanoLora.Nn;

public static partial class PeftFolder
{
    /// <summary>One reading: the tensors of a file sorted by what they are, held against config and model.</summary>
    private sealed class PeftReader(PeftConfig config, Checkpoint file, Model model)
    {
        // What a LoRA's tensors are called behind the module's name, and where each stands in a row of _factors.
        private static readonly string[] Kinds = [".lora_A.weight", ".lora_B.weight", ".lora_B.bias", MagnitudeKind];
        private const string MagnitudeKind = ".lora_magnitude_vector";
        private const int A = 0, B = 1, Bias = 2, Magnitude = 3;

        private readonly Dictionary<string, TensorEntry?[]> _factors = new(StringComparer.Ordinal);                    // by the file's module names
        private readonly List<(string Module, TensorEntry Entry)> _bases = [];                                          // copies of base weights
        private readonly Dictionary<(string Path, string Kind), TensorEntry> _whole = [];                               // weight and bias of head and pooler
        private readonly Dictionary<string, Linear> _linears = model.Linears().ToDictionary(l => l.Key, l => l.Value, StringComparer.Ordinal);

        public (Dictionary<string, Update> Factors, HeadWeights? Head) Read()
        {
            foreach (var entry in file.Entries) Sort(entry);
            var modules = Resolve();
            var names = Names(modules);
            CheckTargets(modules, names);
            var updates = new Dictionary<string, Update>(modules.Count, StringComparer.Ordinal);
            foreach (var (path, module) in modules) updates.Add(path, Factors(module, _linears[path]));
            foreach (var (module, entry) in _bases) CheckBase(module, entry);
            return (updates, Head(names));
        }

        // base_model.model.MODULE.KIND, where an adapter's own name, "default", may stand within KIND
        private void Sort(TensorEntry entry)
        {
            if (!entry.Name.StartsWith(Prefix, StringComparison.Ordinal))
                throw Error(entry, $"does not begin with {Prefix} as the names of a PEFT adapter do; save the adapter with save_pretrained.");
            var name = entry.Name[Prefix.Length..].Replace(".default.", ".", StringComparison.Ordinal);
            if (name.EndsWith($"{MagnitudeKind}.weight", StringComparison.Ordinal)) name = name[..^".weight".Length];     // as it is called in memory
            for (var kind = 0; kind < Kinds.Length; kind++)
            {
                if (Cut(name, Kinds[kind]) is not { } module) continue;
                if (kind == Bias && !config.Biased) throw Error(entry, "is a bias beside B, which the config's lora_bias does not announce.");
                if (kind == Magnitude && !config.Dora) throw Error(entry, "is DoRA's magnitude, which the config's use_dora does not announce.");
                if (!_factors.TryGetValue(module, out var row)) _factors.Add(module, row = new TensorEntry?[Kinds.Length]);
                row[kind] = row[kind] is null ? entry : throw Error(entry, "is there twice.");
                return;
            }
            if (Cut(name, ".base_layer.weight") is { } based) _bases.Add((based, entry));
            else if (name.Contains(".lora_embedding_", StringComparison.Ordinal))
                throw Error(entry, "adapts an embedding, which is not supported; only linears can be adapted.");
            else SortWhole(entry, name.Replace(".modules_to_save.", ".", StringComparison.Ordinal));
        }

        // What replaces a part of the base: the head if the config says so, nothing else.
        private void SortWhole(TensorEntry entry, string name)
        {
            var kind = name.EndsWith(".weight", StringComparison.Ordinal) ? "weight" : name.EndsWith(".bias", StringComparison.Ordinal) ? "bias"
                : throw Error(entry, "is of a kind that a LoRA does not have; it would change what the adapter computes.");
            var module = name[..^(kind.Length + 1)];
            if (name.Contains(".lora_", StringComparison.Ordinal))
                throw Error(entry, "is of a kind that a LoRA does not have; it would change what the adapter computes.");
            if (!Saves(module))
                throw Error(entry, "replaces a part of the base, which the config's modules_to_save does not announce.");
            var path = model.Names.Ours(module);
            if (path is not (HeadPath or PoolerPath))
                throw config.Error("modules_to_save",
                    $"replaces {module}; only the head, {model.Names.Theirs(HeadPath).FirstOrDefault("which this model does not have")}, can be replaced.");
            if (!_whole.TryAdd((path, kind), entry)) throw Error(entry, $"is the {path}'s {kind} for the second time.");
        }

        // modules_to_save goes by the ends of names, with or without a dot before, and takes what lies below such a module.
        private bool Saves(string name) =>
            config.ModulesToSave.Any(m => name.EndsWith(m, StringComparison.Ordinal) || ('.' + name).Contains($".{m}.", StringComparison.Ordinal));

        // Our path of each adapted module, with the file's name for it.
        private Dictionary<string, string> Resolve()
        {
            var modules = new Dictionary<string, string>(_factors.Count, StringComparer.Ordinal);
            foreach (var (module, row) in _factors)
            {
                var entry = row.First(static e => e is not null)!;
                for (var kind = 0; kind < Kinds.Length; kind++)
                {
                    if (row[kind] is not null || (kind == Bias && !config.Biased) || (kind == Magnitude && !config.Dora)) continue;
                    var asked = kind switch { Bias => ", which lora_bias asks for", Magnitude => ", which use_dora asks for", _ => "" };
                    throw Error(entry, $"comes without its {Kinds[kind][1..]}{asked}; the adapter is not whole, save or download it again.");
                }
                if (model.Names.Ours(module) is not { } path || !_linears.ContainsKey(path))
                    throw Error(entry, $"the model {model.Source} has no linear {module}; the adapter belongs to another base.");
                if (!modules.TryAdd(path, module)) throw Error(entry, $"and {modules[path]} are two names of the same linear, {path}; keep one.");
            }
            return modules;
        }

        // The name of each linear: the file's, and for those it does not have the one of the generation that most of its names are of.
        private Dictionary<string, string> Names(Dictionary<string, string> modules)
        {
            var votes = new Dictionary<int, int>();
            foreach (var (path, module) in modules)
            {
                var generation = model.Names.Theirs(path).TakeWhile(n => n != module).Count();
                votes[generation] = votes.GetValueOrDefault(generation) + 1;
            }
            var most = votes.Count == 0 ? 0 : votes.OrderByDescending(v => v.Value).ThenBy(v => v.Key).First().Key;
            var names = new Dictionary<string, string>(_linears.Count, StringComparer.Ordinal);
            foreach (var path in _linears.Keys)
            {
                var theirs = model.Names.Theirs(path).ToArray();
                if (modules.TryGetValue(path, out var name)) names.Add(path, name);
                else if (theirs.Length > 0) names.Add(path, theirs[Math.Min(most, theirs.Length - 1)]);
            }
            return names;
        }

        private void CheckTargets(Dictionary<string, string> modules, Dictionary<string, string> names)
        {
            foreach (var (path, name) in names)
            {
                // "all-linear" leaves out the output layer, but not a classifier's unless the task says so. A patch embedding is a convolution in most files,
                // and a linear in some: there the tensors decide.
                var allLinear = path switch
                {
                    HeadPath => model is Classifier && config.TaskType != "SEQ_CLS",
                    PatchPath => modules.ContainsKey(path),
                    _ => true,
                };
                var targeted = config.Targets(name, allLinear);
                if (targeted && !modules.ContainsKey(path))
                    throw new CheckpointException(file.Path, name,
                        "target_modules of the config names it, and the file has no factors for it; the adapter is not whole or the config is another's.");
                if (!targeted && modules.ContainsKey(path))
                    throw Error(_factors[name][A]!, $"target_modules of the config does not name {name}; the config is another's, or names too little.");
            }
            if (modules.Count == 0)
                throw config.Error("target_modules", $"names no linear of the model {model.Source}, and {Path.GetFileName(file.Path)} has no factors.");
        }

        private Update Factors(string module, Linear host)
        {
            var (row, rank) = (_factors[module], config.RankOf(module));
            CheckShape(row[A]!, host, rank, rank, host.In);
            CheckShape(row[B]!, host, rank, host.Out, rank);
            foreach (var vector in (ReadOnlySpan<TensorEntry?>)[row[Bias], row[Magnitude]]) if (vector is not null) CheckShape(vector, host, rank, host.Out);
            return new Update(module, Values(row[A]!), Values(row[B]!), rank, config.AlphaOf(module), host.In, host.Out)
            {
                Bias = row[Bias] is { } bias ? Values(bias) : null,
                Magnitude = row[Magnitude] is { } magnitude ? Values(magnitude) : null,
            };
        }

        private void CheckShape(TensorEntry entry, Linear host, int rank, params ReadOnlySpan<long> shape)
        {
            if (entry.Shape.AsSpan().SequenceEqual(shape)) return;
            throw Error(entry,
                $"is [{string.Join(", ", entry.Shape)}], not [{string.Join(", ", shape.ToArray())}]: the config gives it rank {rank}, "
                    + $"and the linear of the model {model.Source} is {host.Weight.Shape}. The config is another's, or the adapter belongs to another base.");
        }

        // Beside an adapted output layer PEFT saves that layer itself: fine as long as it is the base's.
        private void CheckBase(string module, TensorEntry entry)
        {
            if (!_factors.ContainsKey(module)) throw Error(entry, "is a weight of the base beside which the file has no factors; the adapter is not whole.");
            using var scope = model.Backend.Main.Scope(grad: false);
            var host = _linears[model.Names.Ours(module)!].Weight.Value;
            if (entry.Count != host.Count || !Values(entry).AsSpan().SequenceEqual((host.DType == DType.F32 ? host : host.Cast(DType.F32)).ToArray()))
                throw Error(entry, $"replaces the base's own weight by another; the adapter belongs to another base than {model.Source}.");
        }

        private HeadWeights? Head(Dictionary<string, string> names)
        {
            CheckSaved(names);
            if (_whole.Count == 0) return null;
            if (config.TiesWeights && model is not Classifier)
                throw config.Error("ensure_weight_tying",
                    "is set and not supported together with modules_to_save; the replaced layer would be tied to the embedding.");
            var pooler = Whole(PoolerPath, "features");
            if (Whole(HeadPath, "classes") is not { } head)
                throw Error(_whole[(PoolerPath, "weight")], "stands below a head, which the file does not have; the adapter is not whole.");
            var classes = head.Bias.Length;
            if (pooler is { } below && (head.Weight.Length != classes * below.Bias.Length || below.Weight.Length % below.Bias.Length != 0))
                throw Error(_whole[(PoolerPath, "weight")], $"gives {below.Bias.Length} features, and the head wants {head.Weight.Length / classes}.");
            return new HeadWeights(head.Weight, head.Bias, Labels(classes)) { Pooler = pooler };
        }

        // Weight and bias of a linear that is replaced as a whole, or null; rows is what its outputs are.
        private (float[] Weight, float[] Bias)? Whole(string path, string rows)
        {
            var (weight, bias) = (_whole.GetValueOrDefault((path, "weight")), _whole.GetValueOrDefault((path, "bias")));
            if (weight is null) return bias is null ? null : throw Error(bias, $"is a {path}'s bias without its weight.");
            var host = _linears.GetValueOrDefault(path);
            if (weight.Shape.Length != 2 || weight.Count == 0 || weight.Count > Array.MaxLength || host is not null && weight.Shape[1] != host.In)
                throw Error(weight,
                    $"is [{string.Join(", ", weight.Shape)}], not [{rows}, {host?.In.ToString() ?? "features"}]; the {path} belongs to another base.");
            if (bias is null && host?.Bias is not null) throw Error(weight, $"comes without the {path}'s bias; the adapter is not whole.");
            if (bias is not null && !bias.Shape.AsSpan().SequenceEqual([weight.Shape[0]]))
                throw Error(bias, $"is [{string.Join(", ", bias.Shape)}], not [{weight.Shape[0]}] as the {path}'s weight says.");
            return (Values(weight), bias is null ? new float[weight.Shape[0]] : Values(bias));
        }

        // What modules_to_save names of this model must be the head, or the pooler below it, and must be in the file.
        private void CheckSaved(Dictionary<string, string> names)
        {
            if (config.ModulesToSave.Length == 0) return;
            foreach (var (path, _) in model.Modules())
            {
                var name = names.GetValueOrDefault(path) ?? model.Names.Theirs(path).FirstOrDefault();
                if (name is null || !Saves(name)) continue;
                if (path is not (HeadPath or PoolerPath)) throw config.Error("modules_to_save", $"replaces {name}; only the head can be replaced.");
                if (!_whole.ContainsKey((path, "weight")) && !_whole.ContainsKey((path, "bias")))
                    throw new CheckpointException(file.Path, name,
                        "modules_to_save of the config names it, and the file does not have it; the adapter is not whole.");
            }
        }

        private IReadOnlyList<string> Labels(int classes)
        {
            if (file.Metadata.TryGetValue(LabelsKey, out var text) && Listed(text) is { } labels && labels.Length == classes) return labels;
            if (model is not Classifier classifier) return [];
            return classifier.Labels.Count == classes ? classifier.Labels : [.. Enumerable.Range(0, classes).Select(c => $"LABEL_{c}")];
        }

        private static string[]? Listed(string json)
        {
            try
            {
                using var list = JsonDocument.Parse(json);
                return list.RootElement.ValueKind == JsonValueKind.Array && list.RootElement.EnumerateArray().All(l => l.ValueKind == JsonValueKind.String)
                    ? [.. list.RootElement.EnumerateArray().Select(l => l.GetString()!)]
                    : null;
            }
            catch (Exception e) when (e is JsonException or InvalidOperationException) { return null; }      // labels of somebody else's making
        }

        private float[] Values(TensorEntry entry)
        {
            if (entry.DType is not (FileDType.F32 or FileDType.F16 or FileDType.BF16 or FileDType.F64))
                throw Error(entry, $"is {entry.DType.FileName()}; an adapter's tensors are F32, F16, BF16 or F64.");
            var values = new float[entry.Count];
            file.CopyTo(entry, values);
            for (var i = 0; i < values.Length; i++) if (!float.IsFinite(values[i]))
                throw Error(entry, $"element {i} is {values[i]}; the training that made it went wrong.");
            return values;
        }

        private CheckpointException Error(TensorEntry entry, string message) => new(file.Path, entry.Name, message);

        private static string? Cut(string name, string suffix) =>
            name.EndsWith(suffix, StringComparison.Ordinal) && name.Length > suffix.Length ? name[..^suffix.Length] : null;
    }
}
