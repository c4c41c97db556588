using System.Runtime.InteropServices;
using System.Text.Json;

namespace NanoLora.Nn;

/// <summary>Which matrices share one v.</summary>
public enum Sharing
{
    /// <summary>One v per adapted matrix: the method.</summary>
    Matrix,
    /// <summary>One v per block.</summary>
    Block,
    /// <summary>One v for the model.</summary>
    Model,
}

/// <summary>How <see cref="Compose.Learned"/> makes its mixers.</summary>
public sealed record LearnedOptions
{
    /// <summary>Which matrices share one v.</summary>
    public Sharing Sharing { get; init; } = Sharing.Matrix;

    /// <summary>How weights are made of v.</summary>
    public MixerKind Kind { get; init; } = MixerKind.Softmax;

    /// <summary>Which matrices share a trained scale β that starts at 1; null for no β.</summary>
    public Sharing? Beta { get; init; }

    /// <summary>The first value of each v, if not the kind's own.</summary>
    public float? Start { get; init; }

    /// <summary>Share the weights among the modules that have a matrix, instead of counting absent ones as zero.</summary>
    public bool SharePresent { get; init; }
}

/// <summary>Puts a composition of LoRA modules into a model: uniform, learned, or any mixer.</summary>
public static class Compose
{
    /// <summary>Equal weights scale / N; nothing of the adapters trains. W = W0 + Σ (1/N) s_n B_n A_n.</summary>
    public static Mixture Uniform(Model model, IReadOnlyList<LoraModule> modules, float scale = 1) =>
        With(model, modules, "uniform", (_, host) => new UniformMixer(model.Backend, modules.Count, scale));

    /// <summary>Weights that train, softmax(v) with one v per adapted matrix unless the options say otherwise; A, B and the base stay frozen.</summary>
    public static Mixture Learned(Model model, IReadOnlyList<LoraModule> modules, LearnedOptions? options = null)
    {
        options ??= new();
        var (mixers, vs, betas) = (new Dictionary<(string, string?), LearnedMixer>(), new Dictionary<string, Parameter>(), new Dictionary<string, Parameter>());
        return With(model, modules, "learned", Mixer, options.SharePresent);

        Mixer Mixer(string path, Linear host)
        {
            var (ofV, ofBeta) = (Key(path, options.Sharing), options.Beta is { } sharing ? Key(path, sharing) : null);
            if (mixers.TryGetValue((ofV, ofBeta), out var known)) return known;
            Parameter? beta = null;
            if (ofBeta is not null && !betas.TryGetValue(ofBeta, out beta))
            {
                using var one = Composition.Constant(model.Backend, [1f]);
                betas[ofBeta] = beta = new Parameter(one);
            }
            var mixer = new LearnedMixer(model.Backend, modules.Count, options.Kind, options.Start, beta, vs.GetValueOrDefault(ofV));
            vs[ofV] = mixer.V;
            return mixers[(ofV, ofBeta)] = mixer;
        }
    }

    /// <summary>Given weights, the same for all matrices.</summary>
    public static Mixture Fixed(Model model, IReadOnlyList<LoraModule> modules, float[] weights)
    {
        if (weights.Length != modules.Count) throw new ArgumentException($"Compose.Fixed: {weights.Length} weights for {modules.Count} modules.");
        return With(model, modules, "fixed", (_, _) => new FixedMixer(model.Backend, weights));
    }

    /// <summary>Given weights, [N] for each adapted matrix by its path.</summary>
    public static Mixture Fixed(Model model, IReadOnlyList<LoraModule> modules, IReadOnlyDictionary<string, float[]> weights) =>
        With(model, modules, "fixed", (path, _) => new FixedMixer(model.Backend, weights.TryGetValue(path, out var w) && w.Length == modules.Count
            ? w : throw new ArgumentException($"Compose.Fixed: {modules.Count} weights are needed for {path}.")));

    /// <summary>Weights that come with each request: see <see cref="GivenMixer.Set"/>.</summary>
    public static Mixture Given(Model model, IReadOnlyList<LoraModule> modules, GivenMixer mixer) => With(model, modules, "given", (_, _) => mixer);

    /// <summary>A composition under mixers of the caller's choice, made for each adapted matrix.</summary>
    /// <exception cref="ArgumentException">No modules, or one of another model, or one that does not compose linearly (DoRA, PiSSA).</exception>
    public static Mixture With(Model model, IReadOnlyList<LoraModule> modules, string method, Func<string, Linear, Mixer> mixer, bool sharePresent = false)
    {
        if (modules.Count == 0) throw new ArgumentException("Compose: no modules were given.");
        foreach (var module in modules)
        {
            module.RequireComposable("Compose");
            if (module.Updates.Keys.Except(model.Linears().Select(l => l.Key)).FirstOrDefault() is { } stranger)
                throw new ArgumentException($"Compose: the module {module.Name} has an update of \"{stranger}\", which {model.Source} does not have; "
                    + "it belongs to another model.");
        }
        var hosts = model.Linears().Where(l => modules.Any(m => m.Updates.ContainsKey(l.Key))).ToList();
        var compositions = new List<KeyValuePair<string, Composition>>();
        try
        {
            foreach (var (path, host) in hosts)
            {
                var parts = modules.Select(m => (Adapter?)m.Updates.GetValueOrDefault(path)).ToList();
                compositions.Add(new(path, new Composition(host, parts, mixer(path, host), sharePresent)));
            }
        }
        catch
        {
            foreach (var (_, composition) in compositions) composition.Dispose();
            throw;
        }
        foreach (var (path, composition) in compositions) model.LinearAt(path).Adapter = composition;
        return new Mixture(model, modules, method, compositions);
    }

    private static string Key(string path, Sharing sharing) => sharing switch
    {
        Sharing.Matrix => path,
        Sharing.Block => path.Split('.') switch { ["blocks", var n, ..] => n, [var stack, "blocks", var n, ..] => $"{stack}.{n}", _ => path },
        _ => "",
    };
}

/// <summary>A composition of modules in a model: its weights, and how to save or export it.</summary>
public sealed class Mixture
{
    internal const string FileName = "composition.json";

    internal Mixture(Model model, IReadOnlyList<LoraModule> modules, string method, IReadOnlyList<KeyValuePair<string, Composition>> compositions) =>
        (Model, Modules, Method, Compositions) = (model, modules, method, compositions);

    /// <summary>The model it sits in.</summary>
    public Model Model { get; }

    /// <summary>The modules that are mixed.</summary>
    public IReadOnlyList<LoraModule> Modules { get; }

    /// <summary>As in "uniform" or "learned".</summary>
    public string Method { get; }

    /// <summary>The composition of each adapted matrix, by path.</summary>
    public IReadOnlyList<KeyValuePair<string, Composition>> Compositions { get; }

    /// <summary>The mixing weights now: one row a matrix, one column a module.</summary>
    public float[][] Weights() => [.. Compositions.Select(c => c.Value.Weights())];

    /// <summary>Takes the composition out of the model and lets it go; the modules stay.</summary>
    public void Detach()
    {
        if (Compositions.Any(c => Model.LinearAt(c.Key).IsMerged))
            throw new InvalidOperationException("Mixture.Detach: the composition is merged into the weights; call Attach.Unmerge first.");
        foreach (var (path, composition) in Compositions)
        {
            var host = Model.LinearAt(path);
            if (host.Adapter == composition) host.Adapter = null;
            composition.Dispose();
        }
    }

    /// <summary>
    /// Writes the composition as an ordinary PEFT adapter folder: the exact sum, of rank R = Σ r, with the head in modules_to_save if it trains.
    /// </summary>
    public void Export(string folder) =>
        PeftFolder.Save(folder,
            Compositions.ToDictionary(c => c.Key, c => c.Value.Factors().Within(Model.LinearAt(c.Key).Out, c.Value.Column)), HeadOf(Model), Model);

    /// <summary>
    /// Writes what it is: the mixing weights and references to its modules' folders, with the head if it trains. <see cref="Load"/> reads it.
    /// </summary>
    /// <exception cref="InvalidOperationException">A module was not read from a folder, so there is nothing to refer to.</exception>
    public void Save(string folder)
    {
        foreach (var module in Modules)
        {
            if (module.Folder is null)
                throw new InvalidOperationException($"Mixture.Save: the module {module.Name} has no folder to refer to; save it first, or use Export.");
        }
        var target = Path.GetFullPath(folder);
        Directory.CreateDirectory(target);
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            json.WriteString("format", "nanolora-composition-1");
            json.WriteString("method", Method);
            json.WriteStartArray("modules");
            foreach (var module in Modules) json.WriteStringValue(Path.GetRelativePath(target, module.Folder!).Replace('\\', '/'));
            json.WriteEndArray();
            json.WriteStartObject("weights");
            foreach (var (path, composition) in Compositions)
            {
                json.WriteStartArray(path);
                foreach (var weight in composition.Weights()) json.WriteNumberValue(weight);
                json.WriteEndArray();
            }
            json.WriteEndObject();
            if (HeadOf(Model) is { } head)
            {
                json.WriteStartObject("head");
                json.WriteStartArray("labels");
                foreach (var label in head.Labels) json.WriteStringValue(label);
                json.WriteEndArray();
                Write(json, head.Weight, head.Bias);
                if (head.Pooler is { } pooler)
                {
                    json.WriteStartObject("pooler");
                    Write(json, pooler.Weight, pooler.Bias);
                    json.WriteEndObject();
                }
                json.WriteEndObject();
            }
            json.WriteEndObject();
        }
        AtomicFile.Write(Path.Combine(target, FileName), stream => stream.Write(buffer.GetBuffer(), 0, (int)buffer.Length));
    }

    /// <summary>Reads what <see cref="Save"/> wrote, its modules included, and puts it into the model with its weights fixed.</summary>
    /// <exception cref="CheckpointException">It does not fit the model, or is damaged: file and field are named.</exception>
    public static Mixture Load(string folder, Model model)
    {
        var file = Path.Combine(folder, FileName);
        string field = "format";
        var modules = new List<LoraModule>();
        Mixture? mixture = null;
        try
        {
            using var json = JsonDocument.Parse(File.ReadAllBytes(file));
            var root = json.RootElement;
            if (root.GetProperty(field).GetString() != "nanolora-composition-1")
                throw new CheckpointException(file, field, "another format than nanolora-composition-1.");
            foreach (var module in root.GetProperty(field = "modules").EnumerateArray())
                modules.Add(Lora.Load(Path.Combine(folder, module.GetString()!), model));
            var weights = new Dictionary<string, float[]>();
            foreach (var matrix in root.GetProperty(field = "weights").EnumerateObject())
                weights[matrix.Name] = [.. matrix.Value.EnumerateArray().Select(w => w.GetSingle())];
            foreach (var path in weights.Keys.Except(model.Linears().Select(l => l.Key)))
                throw new CheckpointException(file, field, $"\"{path}\" is not a linear of {model.Source}.");
            mixture = Compose.Fixed(model, modules, weights);
            if (!root.TryGetProperty(field = "head", out var head) || model is not Classifier classifier) return mixture;
            var labels = head.GetProperty("labels").EnumerateArray().Select(l => l.GetString()!).ToArray();
            var (weight, bias) = Read(head);
            classifier.NewHead(new HeadWeights(weight, bias, labels) { Pooler = head.TryGetProperty("pooler", out var pooler) ? Read(pooler) : null });
            return mixture;
        }
        catch (Exception error)
        {
            mixture?.Detach();
            foreach (var module in modules) module.Dispose();
            if (error is not (JsonException or KeyNotFoundException or InvalidOperationException or ArgumentException or FormatException or IOException)) throw;
            throw new CheckpointException(file, field, error.Message);
        }
    }

    private static void Write(Utf8JsonWriter json, float[] weight, float[] bias)
    {
        json.WriteBase64String("weight", MemoryMarshal.AsBytes(weight.AsSpan()));
        json.WriteBase64String("bias", MemoryMarshal.AsBytes(bias.AsSpan()));
    }

    private static (float[] Weight, float[] Bias) Read(JsonElement linear) => (Floats(linear.GetProperty("weight")), Floats(linear.GetProperty("bias")));

    private static float[] Floats(JsonElement base64) => MemoryMarshal.Cast<byte, float>(base64.GetBytesFromBase64()).ToArray();

    internal static HeadWeights? HeadOf(Model model)
    {
        if (model is not Classifier { Head: { } head } classifier || !(head.Weight.Trains || classifier.HeadIsNew)) return null;
        var (weight, bias) = Values(head);
        return new HeadWeights(weight, bias, classifier.Labels)
        {
            Pooler = classifier.Pooler is { } pooler && (classifier.PoolerIsNew || pooler.Weight.Trains) ? Values(pooler) : null,
        };

        static (float[], float[]) Values(Linear linear) => (linear.Weight.Value.ToArray(), linear.Bias?.Value.ToArray() ?? new float[linear.Out]);
    }
}
