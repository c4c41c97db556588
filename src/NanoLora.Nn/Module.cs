namespace NanoLora.Nn;

/// <summary>A part of a model: parameters and parts of its own, each under a name; a path such as "blocks.0.attn.q.weight" leads to each.</summary>
public abstract class Module : IDisposable
{
    private readonly List<KeyValuePair<string, Module>> _children = [];
    private readonly List<KeyValuePair<string, Parameter>> _own = [];

    /// <summary>Makes a part known under a name, and gives it back.</summary>
    protected T Part<T>(string name, T child) where T : Module
    {
        _children.Add(new(name, child));
        return child;
    }

    /// <summary>Makes a parameter known under a name, and gives it back. It starts frozen.</summary>
    protected Parameter Own(string name, Tensor value)
    {
        var parameter = new Parameter(value);
        _own.Add(new(name, parameter));
        return parameter;
    }

    /// <summary>Makes a parameter that several modules share known under a name.</summary>
    protected Parameter Own(string name, Parameter shared)
    {
        _own.Add(new(name, shared));
        return shared;
    }

    /// <summary>Makes the parts of another module known here under the names that they have there, so that the paths to them stay the same.</summary>
    private protected void Adopt(Module whole, params ReadOnlySpan<string> except)
    {
        _own.AddRange(whole._own);
        foreach (var part in whole._children) if (!except.Contains(part.Key)) _children.Add(part);
    }

    /// <summary>Puts another part in the place of the one of that name, or adds it; null takes it away. The old one is not disposed.</summary>
    protected void Replace(string name, Module? child)
    {
        var at = _children.FindIndex(c => c.Key == name);
        if (at >= 0) _children.RemoveAt(at);
        if (child is not null) _children.Insert(at >= 0 ? at : _children.Count, new(name, child));
    }

    /// <summary>Puts another parameter in the place of the one of that name. The old one is not disposed.</summary>
    protected void Replace(string name, Parameter parameter)
    {
        var at = _own.FindIndex(p => p.Key == name);
        _own[at] = new(name, parameter);
    }

    /// <summary>All parameters below here with their paths, in a fixed order: a module's own first, then its parts in the order they were added.</summary>
    public IEnumerable<KeyValuePair<string, Parameter>> Parameters(string prefix = "")
    {
        foreach (var (name, parameter) in _own) yield return new(prefix + name, parameter);
        foreach (var (name, child) in _children)
        {
            foreach (var pair in child.Parameters(prefix + name + ".")) yield return pair;
        }
    }

    /// <summary>All modules below here with their paths, parents before their parts.</summary>
    public IEnumerable<KeyValuePair<string, Module>> Modules(string prefix = "")
    {
        foreach (var (name, child) in _children)
        {
            yield return new(prefix + name, child);
            foreach (var pair in child.Modules(prefix + name + ".")) yield return pair;
        }
    }

    /// <summary>The parameters that train, each once however often it is shared.</summary>
    public IReadOnlyList<KeyValuePair<string, Parameter>> Trained()
    {
        var seen = new HashSet<Parameter>();
        return [.. Parameters().Where(p => p.Value.Trains && seen.Add(p.Value))];
    }

    /// <summary>The number of trained values.</summary>
    public long TrainedCount => Trained().Sum(p => (long)p.Value.Value.Count);

    /// <summary>Marks every parameter below here as trained or frozen.</summary>
    public void Train(bool trains = true)
    {
        foreach (var (_, parameter) in Parameters()) parameter.Trains = trains;
    }

    /// <summary>Lets all parameters go.</summary>
    public virtual void Dispose()
    {
        foreach (var (_, parameter) in _own) parameter.Dispose();
        foreach (var (_, child) in _children) child.Dispose();
        GC.SuppressFinalize(this);
    }
}
