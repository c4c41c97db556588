using System.Text.Json;

namespace NanoLora.Experiments.Verification;

/// <summary>One case of a group of operations on its way through the engine: its inputs as tensors, its parameters, and what came out.</summary>
internal sealed class OpCase : IDisposable
{
    private readonly GoldenFolder _folder;
    private readonly JsonElement _json, _params, _expected;
    private readonly Workspace _workspace;
    private readonly Dictionary<string, Parameter> _trained = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Tensor> _inputs = new(StringComparer.Ordinal);
    private readonly List<(string Role, Tensor Value)> _outputs = [];
    private readonly List<(string Role, Comparison Found)> _judged = [];

    internal OpCase(GoldenFolder folder, JsonElement json, string name, Workspace workspace)
    {
        (_folder, _json, Name, _workspace) = (folder, json, name, workspace);
        Op = folder.Field(json, "op", JsonValueKind.String, $"{name}.").GetString()!;
        _params = folder.Field(json, "params", JsonValueKind.Object, $"{name}.");
        _expected = folder.Field(json, "expected", JsonValueKind.Object, $"{name}.");
    }

    internal string Name { get; }

    internal string Op { get; }

    internal Workspace Workspace => _workspace;

    /// <summary>An input as a tensor. It trains if its gradient is expected, else it is frozen.</summary>
    internal Tensor In(string role)
    {
        if (_inputs.TryGetValue(role, out var known)) return known;
        var x = _folder.Load(_workspace, Key(role));
        if (_expected.TryGetProperty("d" + role, out _))
        {
            var parameter = new Parameter(x) { Trains = true };
            _trained.Add(role, parameter);
            x = parameter;
        }
        return _inputs[role] = x;
    }

    /// <summary>An input that not every case has.</summary>
    internal Tensor? Maybe(string role) => Has(role) ? In(role) : null;

    /// <summary>Whether the case has this input.</summary>
    internal bool Has(string role) => _folder.Field(_json, "inputs", JsonValueKind.Object, $"{Name}.").TryGetProperty(role, out _);

    /// <summary>The shape of any tensor of the case.</summary>
    internal Shape ShapeOf(string role) => _folder.ShapeOf(Key(role));

    /// <summary>The values of any tensor of the case.</summary>
    internal float[] Floats(string role) => _folder.Floats(Key(role));

    /// <summary>The integers of any tensor of the case.</summary>
    internal int[] Ints(string role) => _folder.Ints(Key(role));

    /// <summary>The bytes of any tensor of the case.</summary>
    internal byte[] Bytes(string role) => _folder.Bytes(Key(role));

    /// <summary>Notes a result beside the first.</summary>
    internal void Output(string role, Tensor? value)
    {
        if (value is not null) _outputs.Add((role, value));
    }

    /// <summary>Notes a result that was compared where it was made.</summary>
    internal void Judged(string role, Comparison found) => _judged.Add((role, found));

    internal bool HasParam(string name) => _params.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null;

    internal int Int(string name) => _folder.Field(_params, name, JsonValueKind.Number, $"{Name}.params.").GetInt32();

    internal float Float(string name) => (float)_folder.Field(_params, name, JsonValueKind.Number, $"{Name}.params.").GetDouble();

    internal double Double(string name) => _folder.Field(_params, name, JsonValueKind.Number, $"{Name}.params.").GetDouble();

    internal float? MaybeFloat(string name) => HasParam(name) ? Float(name) : null;

    internal int? MaybeInt(string name) => HasParam(name) ? Int(name) : null;

    internal bool Bool(string name) => _params.TryGetProperty(name, out var value) && value.ValueKind is JsonValueKind.True or JsonValueKind.False
        ? value.GetBoolean()
        : throw _folder.Error($"{Name}.params.{name}", "is missing, or neither true nor false.");

    internal string Text(string name) => _folder.Field(_params, name, JsonValueKind.String, $"{Name}.params.").GetString()!;

    internal int[] IntList(string name) => [.. List(name).Select(static e => e.GetInt32())];

    internal float[] FloatList(string name) => [.. List(name).Select(static e => (float)e.GetDouble())];

    private JsonElement.ArrayEnumerator List(string name) => _folder.Field(_params, name, JsonValueKind.Array, $"{Name}.params.").EnumerateArray();

    internal JsonElement Object(string name) => _folder.Field(_params, name, JsonValueKind.Object, $"{Name}.params.");

    /// <summary>Sends the stored upstream gradients back. Several outputs become one scalar, Σ ⟨y, dy⟩, so that the tape is walked once.</summary>
    internal void Backward()
    {
        if (_trained.Count == 0) return;
        Tensor? sum = null;
        var upstream = _folder.Field(_json, "upstream", JsonValueKind.Object, $"{Name}.");
        var live = _outputs.FindAll(output => upstream.TryGetProperty("d" + output.Role, out _));
        if (live.Count == 0) throw _folder.Error($"{Name}.upstream", "names no gradient of an output.");
        foreach (var (role, y) in live)
        {
            var dy = _workspace.From(Floats("d" + role), _folder.ShapeOf(Key("d" + role)));
            if (live.Count == 1)
            {
                y.Backward(dy);
                return;
            }
            var part = (y * dy).Sum();
            sum = sum is null ? part : sum + part;
        }
        sum!.Backward();
    }

    /// <summary>Reports what was compared on the way, then every expected tensor in the order of the file: outputs, then gradients.</summary>
    internal void Compare(GoldenReport report)
    {
        foreach (var (role, found) in _judged)
        {
            if (!_expected.TryGetProperty(role, out _)) report.Tensor(role, _folder.Holds(Key(role)) ? ShapeOf(role) : new Shape(), found);
        }
        foreach (var role in _expected.EnumerateObject().Select(static e => e.Name))
        {
            var shape = _folder.ShapeOf(Key(role));
            report.Tensor(role, shape, Judge(role, shape));
        }
    }

    public void Dispose()
    {
        foreach (var parameter in _trained.Values) parameter.Dispose();
    }

    private Comparison Judge(string role, Shape shape)
    {
        var judged = _judged.FindIndex(j => j.Role == role);
        if (judged >= 0) return _judged[judged].Found;
        var output = _outputs.FindIndex(o => o.Role == role);
        if (output >= 0) return Judge(role, shape, _outputs[output].Value);
        if (!role.StartsWith('d') || !_trained.TryGetValue(role[1..], out var parameter)) return Comparison.Fail("the engine gives no such output");
        // No gradient at all is a gradient of 0.
        return parameter.Gradient is { } gradient
            ? Judge(role, shape, gradient)
            : Comparison.Of(new float[shape.Count], Floats(role), Tolerance("tolerance_abs", role));
    }

    private Comparison Judge(string role, Shape shape, Tensor got)
    {
        if (got.Shape != shape) return Comparison.Fail($"the shape is {got.Shape}, not {shape}");
        if (got.DType == DType.I32) return Comparison.Of(got.ToInts(), Ints(role));
        var relative = _json.TryGetProperty("tolerance_rel", out _) ? Tolerance("tolerance_rel", role) : 0;
        return Comparison.Of(got.ToArray(), Floats(role), Tolerance("tolerance_abs", role), relative);
    }

    private double Tolerance(string kind, string role) =>
        _folder.Field(_folder.Field(_json, kind, JsonValueKind.Object, $"{Name}."), role, JsonValueKind.Number, $"{Name}.{kind}.").GetDouble();

    private string Key(string role) => $"{Name}/{role}";
}
