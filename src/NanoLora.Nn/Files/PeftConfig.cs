using System.Text.Json;

namespace NanoLora.Nn;

/// <summary>
/// An adapter_config.json: what of it changes the mathematics of a LoRA. Fields that ask for something else than y + s B A x on an untouched base are refused
/// by name, known ones with the reason; unknown fields are fine as long as they are off (null, false, empty).
/// </summary>
internal sealed class PeftConfig
{
    /// <summary>What the file is called.</summary>
    public const string FileName = "adapter_config.json";

    private const long MaxBytes = 1 << 24;
    private const string Start = "init_lora_weights", PissaStart = "pissa";

    // Read below, or without influence on what an adapter computes. fan_in_fan_out may contradict the layer; the layer counts, as in PEFT.
    private static readonly HashSet<string> Known =
    [
        "peft_type", "r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern", "target_modules", "exclude_modules", "modules_to_save", "bias",
        "layers_to_transform", "layers_pattern", "lora_dropout", "init_lora_weights", "task_type", "ensure_weight_tying",
        "base_model_name_or_path", "revision", "auto_mapping", "peft_version", "inference_mode", "fan_in_fan_out", "megatron_core",
        "qalora_group_size", "eva_config", "use_dora", "lora_bias",
    ];

    private static readonly Dictionary<string, string> Reasons = new()
    {
        ["use_qalora"] = "QALoRA pools the inputs by groups",
        ["use_bdlora"] = "block-diagonal factors",
        ["alora_invocation_tokens"] = "an adapter that acts only from certain tokens on",
        ["arrow_config"] = "a router over several adapters; compose them with a mixer instead",
        ["corda_config"] = "CorDA changes the base before training",
        ["lora_ga_config"] = "LoRA-GA changes the base before training",
        ["loftq_config"] = "LoftQ changes the base before training",
        ["kasa_config"] = "KaSA changes the base and puts a diagonal between the factors",
        ["monteclora_config"] = "random factors with tensors of their own",
        ["velora_config"] = "VeLoRA, with tensors of its own",
        ["layer_replication"] = "a base whose layers are repeated",
        ["megatron_config"] = "layers of Megatron",
        ["target_parameters"] = "LoRA on a parameter instead of a linear",
        ["trainable_token_indices"] = "rows of the embedding are replaced",
    };

    private readonly string _path;
    private readonly JsonElement _root;
    private readonly (PeftPattern Pattern, int Rank)[] _ranks;
    private readonly (PeftPattern Pattern, float Alpha)[] _alphas;
    private readonly string[] _targets, _excluded;
    private readonly PeftPattern? _targetPattern, _excludedPattern;
    private readonly int[]? _layers;
    private readonly PeftPattern[] _layerPatterns;
    private readonly bool _allLinear;

    private PeftConfig(string path, JsonElement root)
    {
        (_path, _root) = (path, root);
        var type = Field("peft_type") is { } named ? Text("peft_type", named) : throw Error("peft_type", "is missing; a LoRA adapter says \"LORA\".");
        if (type != "LORA") throw Error("peft_type", $"\"{type}\" is not supported; only \"LORA\" is.");
        foreach (var field in root.EnumerateObject())
        {
            if (Known.Contains(field.Name) || IsOff(field)) continue;
            throw Error(field.Name, Reasons.TryGetValue(field.Name, out var reason)
                ? $"is set and not supported: {reason}."
                : "is set and unknown here; it may change what the adapter computes.");
        }
        Rank = Field("r") is { } r ? Count("r", r) : throw Error("r", "is missing; write the rank of the factors.");
        Alpha = Field("lora_alpha") is { } alpha
            ? Number("lora_alpha", alpha)
            : throw Error("lora_alpha", "is missing or null; write the numerator of the scale.");
        RankStabilised = Flag("use_rslora");
        Dropout = Field("lora_dropout") is { } dropout ? Number("lora_dropout", dropout) : 0;
        if (Dropout is < 0 or >= 1) throw Error("lora_dropout", $"is {Dropout}; it must be at least 0 and below 1.");
        if (Field("bias") is { } bias && Text("bias", bias) is not "none" and var kind)
            throw Error("bias", $"\"{kind}\" is not supported, only \"none\": the adapter would replace biases of the base.");
        (Dora, Biased, Pissa) = (Flag("use_dora"), Flag("lora_bias"), StartsAsPissa());
        if (Dora && Biased) throw Error("lora_bias", "goes not with use_dora; no version of PEFT computes both.");
        if (Pissa && (Dora || Biased))
            throw Error(Start, $"\"{PissaStart}\" together with {(Dora ? "use_dora" : "lora_bias")} is not supported; convert the adapter to a plain LoRA.");
        _ranks = Patterns("rank_pattern", Count);
        _alphas = Patterns("alpha_pattern", Number);
        (_targets, _targetPattern) = Modules("target_modules");
        _allLinear = Field("target_modules") is { ValueKind: JsonValueKind.String } all && all.ValueEquals("all-linear");
        if (_targetPattern is null && _targets.Length == 0) throw Error("target_modules", "is missing or empty; name the adapted modules.");
        (_excluded, _excludedPattern) = Modules("exclude_modules");
        ModulesToSave = Texts("modules_to_save");
        TaskType = Field("task_type") is { } task ? Text("task_type", task) : null;
        TiesWeights = Flag("ensure_weight_tying");
        (_layers, _layerPatterns) = Layers();
    }

    /// <summary>The rank of modules that no pattern names.</summary>
    public int Rank { get; }

    /// <summary>The alpha of modules that no pattern names.</summary>
    public float Alpha { get; }

    /// <summary>Whether scales are alpha / √rank.</summary>
    public bool RankStabilised { get; }

    /// <summary>The dropout of training.</summary>
    public float Dropout { get; }

    /// <summary>Whether there is a magnitude beside A and B.</summary>
    public bool Dora { get; }

    /// <summary>Whether there is a bias beside B.</summary>
    public bool Biased { get; }

    /// <summary>Whether A and B belong to a base from which its leading singular vectors were taken.</summary>
    public bool Pissa { get; }

    /// <summary>Ends of the names of modules that the adapter replaces as a whole.</summary>
    public string[] ModulesToSave { get; }

    /// <summary>What the adapter is for, such as SEQ_CLS, or null.</summary>
    public string? TaskType { get; }

    /// <summary>Whether what modules_to_save replaces stays tied to other weights.</summary>
    public bool TiesWeights { get; }

    /// <summary>Reads a config.</summary>
    /// <exception cref="CheckpointException">It is missing, no JSON, or asks for something that is not supported.</exception>
    public static PeftConfig Read(string path)
    {
        try
        {
            if (!File.Exists(path)) throw new CheckpointException(path, "file", "there is no such file; name a folder that holds a PEFT adapter.");
            if (new FileInfo(path).Length > MaxBytes) throw new CheckpointException(path, "file", $"a config of more than {MaxBytes} bytes is no adapter's.");
            using var json = JsonDocument.Parse(File.ReadAllText(path), new JsonDocumentOptions { AllowDuplicateProperties = false });
            if (json.RootElement.ValueKind != JsonValueKind.Object)
                throw new CheckpointException(path, "file", $"holds a JSON {json.RootElement.ValueKind}, not an object of fields; save the adapter again.");
            return new PeftConfig(path, json.RootElement.Clone());
        }
        catch (JsonException e)
        {
            throw new CheckpointException(path, "file", $"is no valid JSON: {e.Message} Download or save it again.", e);
        }
        catch (InvalidOperationException e)                                             // half a surrogate pair in a text
        {
            throw new CheckpointException(path, "file", "holds text that is no valid Unicode; save it again.", e);
        }
        catch (Exception e) when (e is UnauthorizedAccessException || (e is IOException and not CheckpointException))
        {
            throw new CheckpointException(path, "file", $"it cannot be read: {e.Message}", e);
        }
    }

    /// <summary>Whether a linear is adapted.</summary>
    /// <param name="module">Its name in the file's generation of names.</param>
    /// <param name="allLinear">Whether it is one of those that "all-linear" means.</param>
    public bool Targets(string module, bool allLinear)
    {
        if (_excludedPattern?.Matches(module) ?? Ends(module, _excluded)) return false;
        if (ModulesToSave.Any(m => Ends(module, [m]) || ('.' + module).Contains($".{m}.", StringComparison.Ordinal))) return false;
        if (_allLinear) return allLinear;
        if (_targetPattern is not null) return _targetPattern.Matches(module);
        if (_targets.Contains(module)) return true;                                     // a full name, whatever its layer
        return Ends(module, _targets)
            && (_layers is null || _layerPatterns.Select(p => p.LayerIn(module)).FirstOrDefault(l => l is not null) is { } layer && _layers.Contains(layer));
    }

    /// <summary>The rank of a module: of the first pattern that fits the end of its name.</summary>
    public int RankOf(string module)
    {
        foreach (var (pattern, rank) in _ranks) if (pattern.Matches(module)) return rank;
        return Rank;
    }

    /// <summary>The alpha of a module: of the first pattern that fits the end of its name.</summary>
    public float AlphaOf(string module)
    {
        foreach (var (pattern, alpha) in _alphas) if (pattern.Matches(module)) return alpha;
        return Alpha;
    }

    /// <summary>An error of this file.</summary>
    public CheckpointException Error(string field, string message) => new(_path, field, message);

    private static bool Ends(string module, string[] names) => names.Any(n => module == n || module.EndsWith('.' + n, StringComparison.Ordinal));

    // An empty object switches a method on with its defaults, except LoftQ's, which old versions write always.
    private static bool IsOff(JsonProperty field) => field.Value.ValueKind switch
    {
        JsonValueKind.Null or JsonValueKind.False => true,
        JsonValueKind.String => field.Value.GetString()!.Length == 0,
        JsonValueKind.Array => field.Value.GetArrayLength() == 0,
        JsonValueKind.Object => !field.Value.EnumerateObject().Any() && (field.Name == "loftq_config" || !Reasons.ContainsKey(field.Name)),
        _ => false,
    };

    // Initialisations that leave the base as it is are only a start; the others subtracted their start from the base. Of these only PiSSA's can be found again.
    private bool StartsAsPissa()
    {
        if (Field(Start) is not { } start || start.ValueKind is JsonValueKind.True or JsonValueKind.False) return false;
        return Text(Start, start) switch
        {
            "gaussian" or "orthogonal" or "eva" => false,
            PissaStart => true,
            var name => throw Error(Start, $"\"{name}\" is not supported: only true, false, \"gaussian\", \"orthogonal\" and \"eva\" are known to leave the "
                + "base as it is, and \"pissa\" can be repeated. Convert the adapter to a plain LoRA when saving it."),
        };
    }

    private (int[]? Layers, PeftPattern[] Patterns) Layers()
    {
        const string indices = "layers_to_transform", names = "layers_pattern";
        var patterns = Field(names) is { ValueKind: JsonValueKind.String } one ? [Text(names, one)] : Texts(names);
        int[]? layers = Field(indices) switch
        {
            null => null,
            { ValueKind: JsonValueKind.Array } list => list.GetArrayLength() == 0 ? null : [.. list.EnumerateArray().Select(l => Index(indices, l))],
            { } number => [Index(indices, number)],
        };
        if (layers is not null && _targetPattern is not null)
            throw Error(indices, "goes with a list of target_modules, not with a pattern; put the layers into the pattern.");
        if (layers is null && patterns.Any(p => p.Length > 0)) throw Error(names, "is set without layers_to_transform; remove it or name the layers.");
        return (layers, [.. patterns.Where(p => p.Length > 0).DefaultIfEmpty("[^.]*").Select(p => PeftPattern.Layer(_path, names, p))]);
    }

    private (PeftPattern, T)[] Patterns<T>(string field, Func<string, JsonElement, T> read) => Field(field) switch
    {
        null => [],
        { ValueKind: JsonValueKind.Object } map =>
            [.. map.EnumerateObject().Select(p => (PeftPattern.End(_path, field, p.Name), read($"{field} \"{p.Name}\"", p.Value)))],
        { } other => throw Error(field, $"is a JSON {other.ValueKind}; it must map patterns to numbers."),
    };

    private (string[] Names, PeftPattern? Pattern) Modules(string field) =>
        Field(field) is not { ValueKind: JsonValueKind.String } pattern ? (Texts(field), null)
        : Text(field, pattern) is { Length: > 0 } text ? ([], PeftPattern.Full(_path, field, text)) : ([], null);

    private JsonElement? Field(string name) => _root.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    private string Text(string field, JsonElement value) =>
        value.ValueKind == JsonValueKind.String ? value.GetString()! : throw Error(field, $"is a JSON {value.ValueKind}; it must be a text.");

    private string[] Texts(string field) => Field(field) switch
    {
        null => [],
        { ValueKind: JsonValueKind.Array } list => [.. list.EnumerateArray().Select(t => Text(field, t))],
        { } other => throw Error(field, $"is a JSON {other.ValueKind}; it must be a list of names."),
    };

    private bool Flag(string field) => Field(field) is { } value && value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw Error(field, $"is a JSON {value.ValueKind}; it must be true or false."),
    };

    private int Count(string field, JsonElement value) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var n) && n > 0
            ? n
            : throw Error(field, $"is {value.GetRawText()}; it must be a whole number above 0.");

    private int Index(string field, JsonElement value) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var n)
            ? n
            : throw Error(field, $"is {value.GetRawText()}; it must be a layer's number or a list of them.");

    private float Number(string field, JsonElement value) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetSingle(out var x) && float.IsFinite(x)
            ? x
            : throw Error(field, $"is {value.GetRawText()}; it must be a number.");
}
